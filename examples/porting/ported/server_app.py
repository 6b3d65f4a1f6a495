"""The server: the old strategy, with a function that makes it instead of an address."""

import numpy as np
from flwr.common import Context, parameters_to_ndarrays
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg


class SavingFedAvg(FedAvg):
    """Federated averaging that saves the model after every round."""

    def __init__(self, model: str, **options: int) -> None:
        super().__init__(**options)
        self.model = model

    def aggregate_fit(self, server_round, results, failures):
        """Average as usual, then save."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            np.savez(self.model, *parameters_to_ndarrays(parameters))
        return parameters, metrics


def server_fn(context: Context) -> ServerAppComponents:
    """Make the strategy from the run config."""
    config = context.run_config
    stations = int(config["num-stations"])
    strategy = SavingFedAvg(
        str(config["model"]),
        min_fit_clients=stations,
        min_evaluate_clients=stations,
        min_available_clients=stations,
    )
    rounds = int(config["num-server-rounds"])
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))


app = ServerApp(server_fn=server_fn)
