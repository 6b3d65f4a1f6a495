"""A station: fits its own line, and counts in the ClientApp's state what it was asked."""

import numpy as np
from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context, Scalar

try:
    from flwr.common import ConfigRecord
except ImportError:  # until 1.16
    from flwr.common import ConfigsRecord as ConfigRecord

Arrays = list[np.ndarray]


class LineClient(NumPyClient):
    """Fits numbers that are drawn anew, the same for the same station and count."""

    def __init__(self, partition_id: int, count: int) -> None:
        self.partition_id = partition_id
        self.count = count
        self.target = np.random.default_rng([partition_id, count]).normal(size=3)

    def fit(
        self, parameters: Arrays, config: dict[str, Scalar]
    ) -> tuple[Arrays, int, dict[str, Scalar]]:
        """Go half the way to the target."""
        line, square = parameters
        arrays = [(line + self.target) / 2, square + np.float32(self.partition_id + 0.1)]
        return arrays, 10 + self.partition_id, {"count": self.count}

    def evaluate(
        self, parameters: Arrays, config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Say how far away the target is."""
        return float(np.sum((parameters[0] - self.target) ** 2)), 10 + self.partition_id, {}


def client_fn(context: Context) -> Client:
    """Make the client of the station that this is; it counts on in the state."""
    state = context.state
    records = state.config_records if hasattr(state, "config_records") else state.configs_records
    count = int(records["asked"]["count"]) + 1 if "asked" in records else 1
    records["asked"] = ConfigRecord({"count": count})
    return LineClient(int(context.node_config["partition-id"]), count).to_client()


app = ClientApp(client_fn=client_fn)
