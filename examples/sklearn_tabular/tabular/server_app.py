"""The server: agrees on a scale with the stations, then averages what they learn."""

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from tabular.task import NUM_FEATURES

app = ServerApp()


def shared_scale(grid: Grid, num_stations: int) -> ConfigRecord:
    """Return each feature's mean and standard deviation over the rows of all stations."""
    while len(node_ids := list(grid.get_node_ids())) < num_stations:
        time.sleep(1)
    messages = [Message(RecordDict(), node_id, "query") for node_id in node_ids]
    answers = [reply.content["answer"] for reply in grid.send_and_receive(messages)]
    number = sum(answer["num-examples"] for answer in answers)
    mean = np.sum([answer["sum"] for answer in answers], axis=0) / number
    squares = np.sum([answer["sum-of-squares"] for answer in answers], axis=0) / number
    return ConfigRecord({"mean": mean.tolist(), "scale": np.sqrt(squares - mean**2).tolist()})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds, tell how it went and save the model."""
    config = context.run_config
    num_stations = int(config["num-stations"])
    scale = shared_scale(grid, num_stations)
    strategy = FedAvg(
        min_train_nodes=num_stations,
        min_evaluate_nodes=num_stations,
        min_available_nodes=num_stations,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros((1, NUM_FEATURES)), np.zeros(1)]),
        num_rounds=int(config["num-server-rounds"]),
        train_config=scale,
        evaluate_config=ConfigRecord(dict(scale)),
    )

    rounds = {
        str(server_round): {"loss": metrics["loss"], "accuracy": metrics["accuracy"]}
        for server_round, metrics in result.evaluate_metrics_clientapp.items()
    }
    for server_round, metrics in rounds.items():
        print(f"Round {server_round}: accuracy {metrics['accuracy']:.3f}")
    coefficients, intercept = result.arrays.to_numpy_ndarrays()
    np.savez(
        str(config["model"]),
        coefficients=coefficients,
        intercept=intercept,
        mean=scale["mean"],
        scale=scale["scale"],
    )
    Path(str(config["result"])).write_text(json.dumps(rounds, indent=2) + "\n")
