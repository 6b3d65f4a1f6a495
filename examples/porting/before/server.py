"""An old server: `python server.py`, then the clients."""

import flwr as fl
import numpy as np


class SavingFedAvg(fl.server.strategy.FedAvg):
    """Federated averaging that saves the model after every round."""

    def aggregate_fit(self, server_round, results, failures):
        """Average as usual, then save."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            np.savez("model.npz", *fl.common.parameters_to_ndarrays(parameters))
        return parameters, metrics


strategy = SavingFedAvg(min_fit_clients=2, min_evaluate_clients=2, min_available_clients=2)
fl.server.start_server(
    server_address="127.0.0.1:8080",
    config=fl.server.ServerConfig(num_rounds=2),
    strategy=strategy,
)
