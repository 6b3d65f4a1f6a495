"""How a run is told: run.json, events, metrics, and what a terminal shows."""
