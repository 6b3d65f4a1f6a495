"""The server: trains with the adaptive strategy, and saves metrics and model."""

import json
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp

from adaptive import task
from adaptive.strategy import AdaptiveFedAvg

app = ServerApp()


def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    """Test the global model on images that no station has."""
    weights = {name: array.numpy() for name, array in arrays.items()}
    loss, accuracy = task.test(weights, task.load_test_data())
    return MetricRecord({"loss": loss, "accuracy": accuracy})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds."""
    config = context.run_config
    strategy = AdaptiveFedAvg(float(config["learning-rate"]), int(config["num-stations"]))
    initial = {name: Array(array) for name, array in task.new_weights().items()}
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(initial),
        num_rounds=int(config["num-server-rounds"]),
        evaluate_fn=evaluate,
    )

    for each in strategy.rounds:
        server_round = int(each["round"])
        each |= dict(result.evaluate_metrics_serverapp[server_round])
        print(
            f"Round {server_round}: rate {each['learning-rate']:.2f},"
            f" loss {each['loss']:.3f}, accuracy {each['accuracy']:.3f}"
        )
    Path(str(config["result"])).write_text(json.dumps(strategy.rounds, indent=2) + "\n")
    np.savez(str(config["model"]), **{name: array.numpy() for name, array in result.arrays.items()})
