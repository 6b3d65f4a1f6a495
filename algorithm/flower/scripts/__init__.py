"""What Flower's interpreter runs, Python 3.9+. No module of the bridge imports it.

`run_serverapp.py` and `run_clientapp.py` are for the direct mode: over a socket pair
(`algorithm/flower/script.py`) they exchange whole Flower Messages with the bridge.
`run_superlink.py` starts a SuperLink. They import `flwr`, and nothing of the bridge but
`frames.py`, `grid.py`, `seeds.py` and `takes.py`, which they load by their paths.
"""
