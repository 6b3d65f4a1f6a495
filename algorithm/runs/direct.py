"""One run without a SuperLink: the ServerApp by itself, and stations with ClientApps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from algorithm.flower.app import build
from algorithm.flower.node_config import check_keys, check_values
from algorithm.runs.run import Run, follow
from algorithm.runs.serverapp import ServerApp
from proxy.central.central_proxy import CentralProxy
from proxy.errors import AppError


@dataclass
class DirectRun(Run):
    """A run in direct mode.

    Attributes
    ----------
    run_config : Mapping[str, Any]
        What overrides the app's run config, by key.
    """

    run_config: Mapping[str, Any]
    _server_app: ServerApp = field(init=False)

    def start(self) -> None:
        """Start the ServerApp's process, and the stations."""
        check_values(self.run_config, "run config")
        check_keys(self.run_config, self.app)
        folder = self.folder / "stations"
        folder.mkdir()
        server_app = ServerApp(self.flower, self.folder / "flwr", self.folder / "serverapp.log")
        self.closing.callback(server_app.stop)
        self._server_app = server_app
        self.outcome.flower_run = str(server_app.run_id)
        self.screen.status("flower-v6 | starting the stations")
        carrier = self.stations.carrier(folder)
        self.closing.callback(carrier.close)
        self.progress.carrier = carrier
        connect, deadline = server_app.links.connect, self.stations.deadline
        central = CentralProxy(
            connect, carrier, folder, deadline, self.progress, listeners=[self.feed.trace]
        )
        self.closing.callback(central.stop)
        central.start()

    def run(self) -> None:
        """Build the app, start it, and wait until it has ended."""
        server_app, outcome = self._server_app, self.outcome
        self.screen.status("flower-v6 | building the app")
        server_app.begin(build(self.app, self.flower), self.run_config)
        follow(server_app.process, self.screen, server_app.links.check)
        if failure := server_app.end():
            outcome.log = server_app.process.log_tail(30)
            raise AppError(f"The run failed: {failure}", f"The end of its log:\n{outcome.log}")
