"""The server: Flower's FedAvg, as it is."""

import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Average the stations' models for some rounds, and write down the last one."""
    config = context.run_config
    stations, rounds = int(config["num-stations"]), int(config["num-server-rounds"])
    while len(list(grid.get_node_ids())) < stations:
        time.sleep(1)
    strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=stations)
    result = strategy.start(grid, ArrayRecord([np.zeros(1000, np.float32)]), num_rounds=rounds)
    Path(str(config["result"])).write_bytes(result.arrays.to_numpy_ndarrays()[0].tobytes())
