"""The server: averages the results that came and writes down the errors that came instead."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class RecordingFedAvg(FedAvg):
    """Federated averaging that keeps a record of each round's replies."""

    def __init__(self, num_stations: int) -> None:
        super().__init__(
            min_train_nodes=num_stations,
            min_evaluate_nodes=num_stations,
            min_available_nodes=num_stations,
        )
        self.rounds: list[dict[str, Any]] = []

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Record the replies, then average as usual."""
        replies = list(replies)
        errors = [reply.error for reply in replies if reply.has_error()]
        self.rounds.append(
            {
                "results": len(replies) - len(errors),
                "errors": [{"code": error.code, "reason": error.reason} for error in errors],
            }
        )
        return super().aggregate_train(server_round, replies)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train and evaluate for some rounds."""
    config = context.run_config
    strategy = RecordingFedAvg(int(config["num-stations"]))
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({"weights": Array(np.zeros(4))}),
        num_rounds=int(config["num-server-rounds"]),
    )
    record = {"rounds": strategy.rounds, "weights": result.arrays["weights"].numpy().tolist()}
    Path(str(config["result"])).write_text(json.dumps(record, indent=2) + "\n")
