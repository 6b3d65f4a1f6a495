"""A station: a NumPyClient."""

import numpy as np
from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context, Scalar

from legacy import task


class RegressionClient(NumPyClient):
    """Fits the regression to the patients of one station."""

    def __init__(self, data: tuple[np.ndarray, np.ndarray], steps: int, lr: float) -> None:
        self.data = data
        self.steps = steps
        self.lr = lr

    def get_parameters(self, config: dict[str, Scalar]) -> list[np.ndarray]:
        """Return where everyone starts; the server asks one station for it."""
        return [np.zeros(10), np.zeros(1)]

    def fit(
        self, parameters: list[np.ndarray], config: dict[str, Scalar]
    ) -> tuple[list[np.ndarray], int, dict[str, Scalar]]:
        """Improve the parameters."""
        weights = task.train(parameters, self.data, self.steps, self.lr)
        return weights, len(self.data[1]), {}

    def evaluate(
        self, parameters: list[np.ndarray], config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Judge the parameters."""
        return task.error(parameters, self.data), len(self.data[1]), {}


def client_fn(context: Context) -> Client:
    """Make the client of the station that this is."""
    node, config = context.node_config, context.run_config
    data = task.load_data(int(node["partition-id"]), int(node["num-partitions"]))
    steps, lr = int(config["local-steps"]), float(config["learning-rate"])
    return RegressionClient(data, steps, lr).to_client()


app = ClientApp(client_fn=client_fn)
