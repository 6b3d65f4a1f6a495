"""Federated averaging over sites that are chosen by name, with a checkpoint of every round."""

import time
from collections.abc import Iterable
from logging import INFO
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class FedAvgByName(FedAvg):
    """Trains at some sites, and tests at all.

    Parameters
    ----------
    sites : dict[int, str]
        The names of all sites, by node id.
    include : frozenset[str]
        The sites that train; all if empty.
    exclude : frozenset[str]
        Those of them that do not.
    checkpoints : Path
        An existing folder.
    """

    def __init__(
        self,
        sites: dict[int, str],
        include: frozenset[str],
        exclude: frozenset[str],
        checkpoints: Path,
    ) -> None:
        super().__init__()
        self.sites = sites
        self.checkpoints = checkpoints
        self.enrolled = [
            name
            for name in sorted(sites.values())
            if (not include or name in include) and name not in exclude
        ]
        if not self.enrolled:
            raise ValueError("No site is left to train at.")

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask the sites that are enrolled."""
        for name in sorted(self.sites.values()):
            verdict = "enrolled in" if name in self.enrolled else "excluded from"
            log(INFO, "Site %s is %s round %s.", name, verdict, server_round)
        nodes = [node for node, name in self.sites.items() if name in self.enrolled]
        return self._ask(nodes, MessageType.TRAIN, server_round, arrays, config)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask all sites, those that did not train included."""
        return self._ask(list(self.sites), MessageType.EVALUATE, server_round, arrays, config)

    def _ask(
        self,
        nodes: list[int],
        message_type: str,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
    ) -> Iterable[Message]:
        config["server-round"] = server_round
        record = RecordDict({self.arrayrecord_key: arrays, self.configrecord_key: config})
        return self._construct_messages(record, nodes, message_type)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average as usual, then save."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is not None:
            path = self.checkpoints / f"round-{server_round}.npz"
            np.savez(path, **{name: array.numpy() for name, array in arrays.items()})
            log(INFO, "Saved %s.", path)
        return arrays, metrics


def names_of_sites(grid: Grid, number: int) -> dict[int, str]:
    """Wait until so many sites are there, and return their names by node id."""
    while len(nodes := list(grid.get_node_ids())) < number:
        time.sleep(1)
    sites: dict[int, str] = {}
    questions = [Message(RecordDict(), node, "query") for node in nodes]
    for reply in grid.send_and_receive(questions):
        node = reply.metadata.src_node_id
        if reply.has_error():
            raise RuntimeError(f"Site {node} did not say its name: {reply.error.reason}")
        name = str(reply.content["site"]["name"]) or str(node)
        if name in sites.values():
            raise RuntimeError(f"Two sites have the name {name}.")
        sites[node] = name
    return sites
