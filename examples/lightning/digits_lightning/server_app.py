"""The server: averages what the stations learned."""

import json
from pathlib import Path

import lightning
import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from digits_lightning import task

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds, tell how it went and save the model."""
    config = context.run_config
    num_stations = int(config["num-stations"])
    lightning.seed_everything(0, verbose=False)
    strategy = FedAvg(
        min_train_nodes=num_stations,
        min_evaluate_nodes=num_stations,
        min_available_nodes=num_stations,
    )
    model = task.DigitsModel(float(config["learning-rate"]))
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(model.state_dict()),
        num_rounds=int(config["num-server-rounds"]),
    )

    rounds = {
        str(server_round): {"loss": metrics["loss"], "accuracy": metrics["accuracy"]}
        for server_round, metrics in result.evaluate_metrics_clientapp.items()
    }
    for server_round, metrics in rounds.items():
        print(f"Round {server_round}: accuracy {metrics['accuracy']:.3f} at the stations")
    Path(str(config["result"])).write_text(json.dumps(rounds, indent=2) + "\n")
    np.savez(str(config["model"]), **{name: array.numpy() for name, array in result.arrays.items()})
