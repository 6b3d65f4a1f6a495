"""A station: what it learns leaves it only under a mask, which Flower's mod puts on."""

import numpy as np
from flwr.client import Client, ClientApp, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.common import Context, Scalar

from secure import task


class RegressionClient(NumPyClient):
    """Fits the regression to the patients of one station."""

    def __init__(self, data: task.Patients) -> None:
        self.data = data

    def fit(
        self, parameters: list[np.ndarray], config: dict[str, Scalar]
    ) -> tuple[list[np.ndarray], int, dict[str, Scalar]]:
        """Improve the parameters."""
        return task.train(parameters, self.data), len(self.data[1]), {}


def client_fn(context: Context) -> Client:
    """Make the client of the station that this is."""
    node = context.node_config
    data = task.load_data(int(node["partition-id"]), int(node["num-partitions"]))
    return RegressionClient(data).to_client()


app = ClientApp(client_fn=client_fn, mods=[secaggplus_mod])
