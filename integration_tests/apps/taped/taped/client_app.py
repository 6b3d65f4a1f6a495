"""A station: counts its messages in the ClientApp's state; station 1 fails in round 2."""

import numpy as np
from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context, Scalar

try:
    from flwr.common import ConfigRecord
except ImportError:  # until 1.16
    from flwr.common import ConfigsRecord as ConfigRecord

Arrays = list[np.ndarray]


class CountingClient(NumPyClient):
    """Moves the parameters towards its own."""

    def __init__(self, partition_id: int, count: int) -> None:
        self.partition_id = partition_id
        self.count = count

    def fit(
        self, parameters: Arrays, config: dict[str, Scalar]
    ) -> tuple[Arrays, int, dict[str, Scalar]]:
        """Go half the way to the station's number."""
        if self.partition_id == 1 and config["server-round"] == 2:
            raise ValueError("station 1 has no data today")
        (weights,) = parameters
        metrics: dict[str, Scalar] = {"count": self.count}
        return [(weights + self.partition_id) / 2], 10 + self.partition_id, metrics

    def evaluate(
        self, parameters: Arrays, config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Return how far the parameters are from zero."""
        return float(np.linalg.norm(parameters[0])), 10, {"count": self.count}


def client_fn(context: Context) -> Client:
    """Make the client of the station that this is."""
    state = context.state
    records = state.config_records if hasattr(state, "config_records") else state.configs_records
    count = int(records["asked"]["count"]) + 1 if "asked" in records else 1
    records["asked"] = ConfigRecord({"count": count})
    return CountingClient(int(context.node_config["partition-id"]), count).to_client()


app = ClientApp(client_fn=client_fn)
