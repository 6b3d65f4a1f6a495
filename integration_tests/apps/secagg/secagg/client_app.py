"""A station: what it learns leaves it only under a mask."""

import os
import time
from pathlib import Path

import numpy as np
from flwr.client import Client, ClientApp, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.common import Context, Scalar

_FOR_EVER = 3600.0


class MaskedClient(NumPyClient):
    """Learns the number of its partition."""

    def __init__(self, partition: int, pid: str) -> None:
        self.partition = partition
        self.pid = pid

    def fit(
        self, parameters: list[np.ndarray], config: dict[str, Scalar]
    ) -> tuple[list[np.ndarray], int, dict[str, Scalar]]:
        """Add the partition's number; one that is to drop out waits until it is killed."""
        if self.pid:
            Path(self.pid).write_text(str(os.getpid()))
            time.sleep(_FOR_EVER)
        # The mod rounds at random.
        np.random.seed(self.partition)
        # All have as many examples: so the strategy's sum does not depend on who is first.
        return [array + self.partition for array in parameters], 4, {}


def client_fn(context: Context) -> Client:
    """Make the client of the station that this is."""
    partition, config = int(context.node_config["partition-id"]), context.run_config
    drops = partition == int(config["drop-partition"])
    return MaskedClient(partition, str(config["pid"]) if drops else "").to_client()


app = ClientApp(client_fn=client_fn, mods=[secaggplus_mod])
