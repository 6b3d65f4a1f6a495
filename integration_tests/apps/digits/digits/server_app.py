"""The server: averages what the stations learned and tests the result after every round."""

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from digits import task

app = ServerApp()


def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    """Test the global model on images that no station has."""
    net = task.Net()
    net.load_state_dict(arrays.to_torch_state_dict())
    loss, accuracy = task.test(net, task.load_test_data())
    return MetricRecord({"loss": loss, "accuracy": accuracy})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds, tell how it went and save the model."""
    config = context.run_config
    num_stations = int(config["num-stations"])
    torch.manual_seed(int(config["seed"]))

    strategy = FedAvg(
        min_train_nodes=num_stations,
        min_evaluate_nodes=num_stations,
        min_available_nodes=num_stations,
    )
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(task.Net().state_dict()),
        num_rounds=int(config["num-server-rounds"]),
        evaluate_fn=evaluate,
    )

    for server_round, central in result.evaluate_metrics_serverapp.items():
        line = f"Round {server_round}: accuracy {central['accuracy']:.3f} on the server"
        if stations := result.evaluate_metrics_clientapp.get(server_round):
            line += f", {stations['accuracy']:.3f} at the stations"
        print(line)

    torch.save(result.arrays.to_torch_state_dict(), str(config["model"]))
    np.savez(
        str(config["result"]), **{name: array.numpy() for name, array in result.arrays.items()}
    )
