"""The server: averages the weights."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds and save the weights."""
    config = context.run_config
    num_stations = int(config["num-stations"])
    strategy = FedAvg(
        min_train_nodes=num_stations,
        min_evaluate_nodes=num_stations,
        min_available_nodes=num_stations,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({"weights": Array(np.arange(4.0))}),
        num_rounds=int(config["num-server-rounds"]),
    )
    np.savez(str(config["result"]), weights=result.arrays["weights"].numpy())
