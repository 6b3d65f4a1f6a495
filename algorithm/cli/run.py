"""`flower-v6 run`: a Flower app on stations on this machine."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from algorithm.cli.shared.interrupt import Interrupted
from algorithm.cli.shared.journals import add_keep_replies, opened
from algorithm.cli.shared.observing import add_events_topic, add_metrics, takers
from algorithm.cli.shared.options import (
    Commands,
    add_app,
    add_command,
    add_json,
    add_mode,
    add_output,
    add_run_config,
)
from algorithm.cli.shared.stations import (
    add_lane_options,
    add_station_options,
    chosen_stations,
    lane_stations,
)
from algorithm.cli.shared.stations import flower as flower_of
from algorithm.flower.app import check_app
from algorithm.flower.node_config import run_config
from algorithm.flower.provenance import RunConfig, machine, packages_in, run_config_of
from algorithm.monitoring.feed import Feed
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.paths import check_folder
from algorithm.runs.direct import DirectRun
from algorithm.runs.on_superlink import SuperLinkRun
from algorithm.runs.recording import Recording
from algorithm.runs.resuming import run_on_journal
from algorithm.runs.run import Run, forget_outcome, write_outcome
from algorithm.runs.stations import Stations
from proxy.calls import DEFAULT_LIFETIME, DEFAULT_MODE, Mode
from proxy.errors import BridgeError, UsageError
from proxy.system.process import Workspace


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "run", run, "run a Flower app on stations on this machine")
    add_app(parser)
    add_run_config(parser)
    add_mode(parser, DEFAULT_MODE)
    add_output(parser, "run.json, events.jsonl and the logs")
    add_metrics(parser)
    add_events_topic(parser)
    add_json(parser, "run.json")
    parser.add_argument(
        *("--journal", "--resume"),
        type=Path,
        metavar="DIR",
        help="keep the run's course in this folder: called again after a kill, run goes on where it"
        " was; made if it is missing",
    )
    add_keep_replies(parser)
    add_station_options(parser)
    add_lane_options(parser)


def run(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the run did not complete.
    """
    check_app(options.app)
    if options.mode == Mode.DIRECT and options.tape is not None:
        raise UsageError(
            "--tape cannot be used with --mode direct: there is no Fleet API to record."
        )
    stations: Stations
    if options.lane:
        stations, flower, supernodes = lane_stations(options), flower_of(options), "by the station"
    else:
        stations = local = chosen_stations(options)
        flower, supernodes = local.flower, options.supernodes or DEFAULT_LIFETIME
    if options.output is not None:
        check_folder(options.output)
        options.output.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(
        app=str(options.app),
        flower_release=flower.release,
        supernodes=supernodes,
        stations=list(stations.names),
        mode=options.mode,
        run_config=_run_config(options),
        environment=machine(),
        packages=packages_in(flower.folder),
    )
    with (
        Workspace() as workspace,
        opened(options) as journal,
        takers(options, screen, workspace.path, anew=True) as (taking, metrics),
    ):
        feed = Feed(*taking)
        folder = workspace.path / "run"
        folder.mkdir()
        shared = (options.app, flower, folder, screen, outcome, stations)
        ours = [path for path in (options.output, options.journal) if path is not None]

        def make() -> Run:
            app_run: Run
            if options.mode == Mode.DIRECT:
                config = run_config(options.run_config)
                app_run = DirectRun(*shared, config, journal, feed=feed, left_out=ours)
            else:
                about = f"flwr {flower.release}; flower-v6 run {options.app.resolve().name}"
                recording = Recording(options.tape, about)
                app_run = SuperLinkRun(
                    *(*shared, options.run_config, recording, journal), feed=feed, left_out=ours
                )
            if metrics is not None:
                metrics.online = app_run.online
            return app_run

        def leave() -> None:
            if options.json:
                screen.result(outcome.text())
            if options.output is not None:
                folders = [folder] if journal is None else [folder, journal.work]
                write_outcome(outcome, options.output, *folders)

        if options.output is not None:
            forget_outcome(options.output)
        with _always(leave, screen), feed.about(outcome):
            try:
                run_on_journal(make, journal)
            except Interrupted as interrupted:
                outcome.status, outcome.cause = "cancelled", str(interrupted)
                raise
        if journal is not None:
            journal.end(outcome.status)
    screen.line(f"flower-v6 | the run completed in {outcome.seconds:.1f} s")


def _run_config(options: argparse.Namespace) -> RunConfig:
    """Return the app's run config; one that cannot be read is refused where it is used."""
    try:
        return run_config_of(options.app, run_config(options.run_config))
    except UsageError:
        return {}


@contextmanager
def _always(leave: Callable[[], None], screen: Screen) -> Iterator[None]:
    """Do something last. If it fails after another error, that one is still the reason."""
    try:
        yield
    except BaseException:
        try:
            leave()
        except (BridgeError, OSError) as error:
            screen.line(f"flower-v6 | error: {error}")
        raise
    leave()
