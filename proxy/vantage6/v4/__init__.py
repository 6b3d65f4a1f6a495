"""vantage6 4.x: its REST API, its encryption, and what a container finds and leaves."""
