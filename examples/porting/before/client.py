"""An old client: `python client.py 0` at one site, `python client.py 1` at the other."""

import sys

import flwr as fl
import wine


class WineClient(fl.client.NumPyClient):
    """Trains on the bottles of one site."""

    def __init__(self, site):
        self.data = wine.load_data(site, num_sites=2)

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


fl.client.start_numpy_client(server_address="127.0.0.1:8080", client=WineClient(int(sys.argv[1])))
