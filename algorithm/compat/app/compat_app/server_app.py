"""The server: federated averaging that writes down every round, to the last bit."""

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
    """Federated averaging; after each round the results of all rounds are in a file."""

    def __init__(self, result: Path, num_stations: int) -> None:
        super().__init__(
            min_fit_clients=num_stations,
            min_evaluate_clients=num_stations,
            min_available_clients=num_stations,
            initial_parameters=ndarrays_to_parameters([np.zeros(3), np.zeros((2, 2), "float32")]),
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
        self._write(
            failures=len(failures),
            arrays=[[str(each.dtype), each.tobytes().hex()] for each in arrays],
            counts=sorted(answer.metrics["count"] for _, answer in results),
        )
        return parameters, metrics

    def aggregate_evaluate(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, EvaluateRes]],
        failures: list[tuple[ClientProxy, EvaluateRes] | BaseException],
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Average as usual, then write."""
        loss, metrics = super().aggregate_evaluate(server_round, results, failures)
        self._write(failures=len(failures), loss=None if loss is None else loss.hex())
        return loss, metrics

    def _write(self, **values: object) -> None:
        self.rounds.append(values)
        self.result.write_text(json.dumps(self.rounds))


def server_fn(context: Context) -> ServerAppComponents:
    """Make the components from the run config."""
    config = context.run_config
    return ServerAppComponents(
        strategy=WritingFedAvg(Path(str(config["result"])), int(config["num-stations"])),
        config=ServerConfig(num_rounds=int(config["num-server-rounds"])),
    )


app = ServerApp(server_fn=server_fn)
