"""The server: a strategy, and the components that Flower runs."""

import numpy as np
from flwr.common import Context, FitRes, Parameters, Scalar, parameters_to_ndarrays
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg


class SavingFedAvg(FedAvg):
    """Federated averaging that saves the parameters after every round."""

    def __init__(self, result: str, num_stations: int) -> None:
        super().__init__(
            min_fit_clients=num_stations,
            min_evaluate_clients=num_stations,
            min_available_clients=num_stations,
        )
        self.result = result

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Average as usual, then save."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            coefficients, intercept = parameters_to_ndarrays(parameters)
            np.savez(self.result, coefficients=coefficients, intercept=intercept)
        return parameters, metrics


def server_fn(context: Context) -> ServerAppComponents:
    """Make the components from the run config."""
    config = context.run_config
    return ServerAppComponents(
        strategy=SavingFedAvg(str(config["result"]), int(config["num-stations"])),
        config=ServerConfig(num_rounds=int(config["num-server-rounds"])),
    )


app = ServerApp(server_fn=server_fn)
