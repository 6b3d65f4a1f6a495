"""A real vantage6 4.15.2 on this machine: server, nodes, algorithm containers.

`fixtures` is what tests ask for, `stack` is what they get, `containers` is its Docker side. The
server and the nodes are processes, because their images cannot be had without a registry; they run
in an environment of their own (`make .venv-vantage6/installed`), by `run_server` and `run_node`.
"""
