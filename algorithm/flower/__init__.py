"""Flower on this machine: an environment, its apps, and what runs in its interpreter.

The scripts `run_serverapp.py` and `run_clientapp.py` are executed by Flower's interpreter, for the
direct mode. They alone import `flwr`, and nothing of the bridge but `frames.py`, `grid.py` and
`seeds.py`. Over a socket pair (`script`) they exchange whole Flower Messages with it.
"""
