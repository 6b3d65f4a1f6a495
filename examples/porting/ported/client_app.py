"""A station: the old client's class, with a function that makes it instead of an address."""

from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context

from ported import wine


class WineClient(NumPyClient):
    """Trains on the bottles of one site."""

    def __init__(self, site, num_sites):
        self.data = wine.load_data(site, num_sites)

    def get_parameters(self, config):
        """Return where everyone starts."""
        return wine.new_weights()

    def fit(self, parameters, config):
        """Train."""
        return wine.train(parameters, self.data), len(self.data[1]), {}

    def evaluate(self, parameters, config):
        """Test."""
        loss, accuracy = wine.test(parameters, self.data)
        return loss, len(self.data[1]), {"accuracy": accuracy}


def client_fn(context: Context) -> Client:
    """Make the client of the station that this is."""
    node = context.node_config
    return WineClient(int(node["partition-id"]), int(node["num-partitions"])).to_client()


app = ClientApp(client_fn=client_fn)
