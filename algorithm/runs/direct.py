"""One run without a SuperLink: the ServerApp by itself, and stations with ClientApps."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from algorithm.flower.app import build
from algorithm.flower.environment import Flower
from algorithm.flower.node_config import check_keys, check_values
from algorithm.runs.attach import Attachment
from algorithm.runs.run import Run, Way, follow
from algorithm.runs.serverapp import ServerApp
from proxy.central.central_proxy import CentralProxy
from proxy.errors import AppError


def directly(run_config: Mapping[str, Any], flower: Flower, what: Attachment) -> Way:
    """Return the way to run an app in direct mode.

    Parameters
    ----------
    run_config : Mapping[str, Any]
        What overrides the app's run config, by key.
    flower : Flower
        The environment of the ServerApp.
    what : Attachment
        The stations.

    Raises
    ------
    UsageError
        If the run config has a value that Flower has no form for.
    """
    check_values(run_config, "run config")
    return lambda run: _run(run, run_config, flower, what)


def _run(run: Run, run_config: Mapping[str, Any], flower: Flower, what: Attachment) -> None:
    check_keys(run_config, run.app)
    stations = run.folder / "stations"
    stations.mkdir()
    with ExitStack() as stack:
        server_app = ServerApp(flower, run.folder / "flwr", run.folder / "serverapp.log")
        stack.callback(server_app.stop)
        run.outcome.flower_run = str(server_app.run_id)
        run.screen.status("flower-v6 | starting the stations")
        carrier = what.carrier(stations)
        stack.callback(carrier.close)
        connect, links = server_app.links.connect, server_app.links
        central = CentralProxy(connect, carrier, stations, what.deadline, run.progress)
        stack.callback(central.stop)
        central.start()
        run.screen.status("flower-v6 | building the app")
        server_app.begin(build(run.app, flower), run_config)
        follow(server_app.process, run.screen, links.check)
        if failure := server_app.end():
            run.outcome.log = server_app.process.log_tail(30)
            raise AppError(f"The run failed: {failure}", f"The end of its log:\n{run.outcome.log}")
