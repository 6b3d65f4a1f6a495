"""Federated averaging whose learning rate follows the loss."""

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class AdaptiveFedAvg(FedAvg):
    """Lowers the learning rate when the last round made the network worse, and slowly in any case.

    Each station says how well the network that it gets does on its own data: `loss-before`.

    Parameters
    ----------
    learning_rate : float
        That of the first round.
    num_stations : int
        How many stations take part in every round.
    """

    AFTER_A_RISE = 0.5
    EACH_ROUND = 0.95

    def __init__(self, learning_rate: float, num_stations: int) -> None:
        super().__init__(
            fraction_evaluate=0.0,
            min_train_nodes=num_stations,
            min_available_nodes=num_stations,
        )
        self.learning_rate = learning_rate
        self.rounds: list[dict[str, float]] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Tell the stations how fast to learn."""
        config["learning-rate"] = self.learning_rate
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average as usual, note how the round went, and choose the next learning rate."""
        replies = list(replies)
        arrays, metrics = super().aggregate_train(server_round, replies)
        if metrics is not None:
            self._note(server_round, float(metrics["loss-before"]), replies)
        return arrays, metrics

    def _note(self, server_round: int, loss: float, replies: list[Message]) -> None:
        rose = bool(self.rounds) and loss > self.rounds[-1]["loss-before"]
        self.rounds.append(
            {
                "round": server_round,
                "learning-rate": self.learning_rate,
                "loss-before": loss,
                "stations": sum(reply.has_content() for reply in replies),
                "failures": sum(reply.has_error() for reply in replies),
            }
        )
        if rose:
            print(f"Round {server_round - 1} made the loss rise to {loss:.3f}: the rate is halved")
            self.learning_rate *= self.AFTER_A_RISE
        self.learning_rate *= self.EACH_ROUND
