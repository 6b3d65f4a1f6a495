"""The server: averages what the stations learned, and writes down who answered what to what.

In which order replies come decides the last bits of the average of three or more. What a station
answers to given weights does not depend on it, hence the record.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from digits_csv import task

app = ServerApp()


class RecordingFedAvg(FedAvg):
    """Federated averaging that keeps the hash of each station's answer, by what was asked."""

    def __init__(self, num_stations: int) -> None:
        super().__init__(
            min_train_nodes=num_stations,
            min_evaluate_nodes=num_stations,
            min_available_nodes=num_stations,
        )
        self.answers: dict[str, dict[int, str]] = {}
        self._asked = ""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask as usual."""
        self._asked = hash_of(arrays)
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Record the answers, then average as usual."""
        replies = list(replies)
        contents = [reply.content for reply in replies if not reply.has_error()]
        if not contents:
            raise RuntimeError(f"no station trained: {replies[0].error.reason}")
        self.answers[self._asked] = {
            content["metrics"]["partition-id"]: hash_of(content["arrays"])
            for content in sorted(contents, key=lambda each: each["metrics"]["partition-id"])
        }
        return super().aggregate_train(server_round, replies)


def hash_of(arrays: ArrayRecord) -> str:
    """Return the SHA-256 of the weights."""
    return hashlib.sha256(arrays["weights"].numpy().tobytes()).hexdigest()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds, tell how it went and save the model."""
    config = context.run_config
    strategy = RecordingFedAvg(int(config["num-stations"]))
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({"weights": Array(task.new_weights())}),
        num_rounds=int(config["num-server-rounds"]),
    )
    accuracy = {}
    for server_round, metrics in result.evaluate_metrics_clientapp.items():
        accuracy[server_round] = metrics["accuracy"]
        print(f"Round {server_round}: accuracy {metrics['accuracy']:.3f} at the stations")
    np.savez(str(config["model"]), weights=result.arrays["weights"].numpy())
    record = {"answers": strategy.answers, "accuracy": accuracy}
    Path(str(config["result"])).write_text(json.dumps(record, indent=2) + "\n")
