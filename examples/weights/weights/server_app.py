"""The server: averages weights of one shape, and need not know that stations have others."""

import json
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from weights import task
from weights.adapt import as_record, as_weights

app = ServerApp()


def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    """Test the global network on images that no station has."""
    loss, accuracy = task.test(as_weights(arrays), task.load_test_data())
    return MetricRecord({"loss": loss, "accuracy": accuracy})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds, tell how it went and save the model."""
    config = context.run_config
    num_stations = int(config["num-stations"])
    strategy = FedAvg(
        fraction_evaluate=0.0, min_train_nodes=num_stations, min_available_nodes=num_stations
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=as_record(task.new_weights(int(config["hidden-units"]))),
        num_rounds=int(config["num-server-rounds"]),
        evaluate_fn=evaluate,
    )

    rounds = {}
    for server_round, stations in result.train_metrics_clientapp.items():
        central = result.evaluate_metrics_serverapp[server_round]
        rounds[str(server_round)] = {"server": dict(central), "stations": dict(stations)}
        print(
            f"Round {server_round}: accuracy {central['accuracy']:.3f} on the server;"
            f" stations train {stations['shared']:.0%} of its weights"
        )
    Path(str(config["result"])).write_text(json.dumps(rounds, indent=2) + "\n")
    np.savez(str(config["model"]), **as_weights(result.arrays))
