"""One run without a SuperLink: the ServerApp by itself, and stations with ClientApps."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from algorithm.flower.app import build
from algorithm.flower.node_config import check_keys, check_values
from algorithm.runs.resuming import begin, stations_folder
from algorithm.runs.run import Run, follow
from algorithm.runs.serverapp import Fixed, ServerApp
from algorithm.runs.takes import Takes
from proxy.central.central_proxy import CentralProxy
from proxy.errors import AppError
from proxy.journal.journal import Journal


@dataclass
class DirectRun(Run):
    """A run in direct mode.

    Attributes
    ----------
    run_config : Mapping[str, Any]
        What overrides the app's run config, by key.
    journal : Journal | None
        Where a run that was killed is gone on from.
    """

    run_config: Mapping[str, Any]
    journal: Journal | None = None
    _fab: bytes = field(init=False, default=b"")
    _server_app: ServerApp = field(init=False)

    def start(self) -> None:
        """Start the ServerApp's process, and the stations."""
        check_values(self.run_config, "run config")
        check_keys(self.run_config, self.app)
        fixed, takes = self._begin()
        folder = stations_folder(self.folder, self.journal)
        server_app = ServerApp(
            *(self.flower, self.folder / "flwr", self.folder / "serverapp.log", fixed, takes)
        )
        self.closing.callback(server_app.stop)
        self._server_app = server_app
        self.outcome.flower_run = str(server_app.run_id)
        self.screen.status("flower-v6 | starting the stations")
        carrier = self.stations.carrier(folder)
        self.closing.callback(carrier.close)
        self.progress.carrier = carrier
        connect, deadline = server_app.links.connect, self.stations.deadline
        central = CentralProxy(
            *(connect, carrier, folder, deadline, self.progress),
            listeners=[self.feed.trace],
            journal=self.journal,
        )
        self.closing.callback(central.stop)
        # Before the central: else the app would go on with the errors by which that ends.
        self.closing.callback(server_app.process.stop)
        central.start()

    def run(self) -> None:
        """Build the app, start it, and wait until it has ended."""
        server_app, outcome = self._server_app, self.outcome
        server_app.begin(self._built(), self.run_config)
        follow(server_app.process, self.screen, self._look)
        if failure := server_app.end():
            outcome.log = server_app.process.log_tail(30)
            raise AppError(f"The run failed: {failure}", f"The end of its log:\n{outcome.log}")

    def _begin(self) -> tuple[Fixed | None, Takes]:
        """Begin the journal's run, or go on with it, if there is a journal."""
        if self.journal is None:
            return None, Takes()
        lasting = asdict(Fixed.lasting(self.stations.names))
        fixed = Fixed(**begin(self, self.journal, self._built(), self.run_config, lasting))
        return fixed, Takes.of(self.journal, fixed.nodes)

    def _built(self) -> bytes:
        """Return the app, as Flower builds it."""
        if not self._fab:
            self.screen.status("flower-v6 | building the app")
            self._fab = build(self.app, self.flower, self.left_out)
        return self._fab

    def _look(self) -> None:
        untaken = self._server_app.links.check()
        if self.journal is not None:
            for instruction in untaken:  # the journal hears only of those that a station takes
                self.journal.give_up_resuming(
                    f"Message {instruction.message_id:.12} expired, or its station went offline,"
                    " before the station took it."
                )
            self.journal.check()
