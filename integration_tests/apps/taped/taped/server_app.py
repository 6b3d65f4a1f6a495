"""The server: averages, and writes down what each round brought."""

import json
from pathlib import Path

import numpy as np
from flwr.common import (
    Context,
    EvaluateRes,
    FitRes,
    Parameters,
    Scalar,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg


class WritingFedAvg(FedAvg):
    """Federated averaging; what each round brought is in a file."""

    def __init__(self, result: Path, num_stations: int) -> None:
        super().__init__(
            min_fit_clients=num_stations,
            min_evaluate_clients=num_stations,
            min_available_clients=num_stations,
            initial_parameters=ndarrays_to_parameters([np.zeros(4)]),
            on_fit_config_fn=lambda server_round: {"server-round": server_round},
        )
        self.result = result
        self.rounds: list[dict[str, object]] = []

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Average as usual, then write."""
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        arrays = parameters_to_ndarrays(parameters) if parameters is not None else []
        counts = sorted(answer.metrics["count"] for _, answer in results)
        self._write(counts, failures=len(failures), arrays=[each.tolist() for each in arrays])
        return parameters, metrics

    def aggregate_evaluate(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, EvaluateRes]],
        failures: list[tuple[ClientProxy, EvaluateRes] | BaseException],
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Average as usual, then write."""
        loss, metrics = super().aggregate_evaluate(server_round, results, failures)
        counts = sorted(answer.metrics["count"] for _, answer in results)
        self._write(counts, failures=len(failures), loss=loss)
        return loss, metrics

    def _write(self, counts: list[Scalar], **values: object) -> None:
        self.rounds.append({"counts": counts, **values})
        self.result.write_text(json.dumps(self.rounds, indent=2) + "\n")


def server_fn(context: Context) -> ServerAppComponents:
    """Make the components from the run config."""
    config = context.run_config
    return ServerAppComponents(
        strategy=WritingFedAvg(Path(str(config["result"])), int(config["num-stations"])),
        config=ServerConfig(num_rounds=int(config["num-server-rounds"])),
    )


app = ServerApp(server_fn=server_fn)
