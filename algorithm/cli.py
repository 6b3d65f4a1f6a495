"""The command flower-v6."""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from algorithm.app import check_app
from algorithm.arguments import SUPERNODES
from algorithm.attach import Access, Attached, Attachment, local_carrier, local_stations
from algorithm.attach_vantage6 import add_vantage6_options, check_local, vantage6_attachment
from algorithm.compat.command import add_compat
from algorithm.compat.gate import check_untried
from algorithm.direct.run import directly
from algorithm.flower import Flower
from algorithm.image import BASE_IMAGE, build_image, release_beside_the_bridge
from algorithm.keys import keys_for
from algorithm.modes import BRIDGE, DIRECT, MODES
from algorithm.node_config import run_config
from algorithm.on_superlink import on_superlink
from algorithm.options import positive, seconds
from algorithm.outcome import Outcome
from algorithm.run import run_app, write_outcome
from algorithm.screen import Progress, Screen
from algorithm.tapes import add_tape_commands, add_tape_option, on_tape
from algorithm.vantage6_commands import add_vantage6_commands
from proxy import __version__
from proxy.calls import DEFAULT_DEADLINE_SECONDS, DEFAULT_LIFETIME, Lifetime
from proxy.errors import BridgeError, UsageError
from proxy.process import Workspace, keep_private

_DEFAULT_STATIONS = 2
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user, or the system, wants us to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 only if all went well."""
    keep_private()
    options = _parser().parse_args(arguments)
    screen = Screen(sys.stderr if options.json else sys.stdout)
    level = logging.INFO if options.command == "attach" else logging.WARNING
    logging.basicConfig(level=level, handlers=[screen])
    for number in _ENDING_SIGNALS:
        # Whoever started us with nohup or in the background means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        exit_code: int = options.function(options, screen) or 0
        return exit_code
    except (BridgeError, OSError) as error:
        screen.status("")
        print(f"flower-v6: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"flower-v6: {interrupted}", file=sys.stderr)
        return 128 + interrupted.number


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    # Once is enough: what follows is cleaning up, and ends within seconds.
    for each in _ENDING_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def _attach(options: argparse.Namespace, screen: Screen) -> NoReturn:
    """`flower-v6 attach`: returns only by an exception."""
    if options.tape and options.root_certificates:
        raise UsageError("--tape is of no use with --root-certificates: TLS is not recorded.")
    if options.vantage6:
        stations, what = vantage6_attachment(options)
    else:
        check_local(options)
        _, stations, what = _local(options)
    with Workspace() as workspace:
        access = Access(options.root_certificates, options.keys)
        join = on_tape(partial(Attached, what, access=access), options.tape, "flower-v6 attach")
        attached = join(options.superlink, workspace.path, Progress(screen))
        try:
            screen.line(
                f"flower-v6 | {len(stations)} stations are SuperNodes of"
                f" {options.superlink}; logs are in {workspace.path}; stop with Ctrl-C"
            )
            while True:
                signal.pause()
        finally:
            attached.close()


def _run(options: argparse.Namespace, screen: Screen) -> None:
    """`flower-v6 run`."""
    check_app(options.app)
    flower, stations, what = _local(options)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(
        app=str(options.app),
        flower_release=flower.release,
        supernodes=options.supernodes or DEFAULT_LIFETIME,
        stations=list(stations),
        mode=options.mode,
    )
    if options.mode == DIRECT:
        if options.tape is not None:
            raise UsageError("In direct mode there is no Fleet API to be recorded on a tape.")
        way = directly(run_config(options.run_config), flower, what)
    else:
        about = f"flwr {flower.release}; flower-v6 run {options.app.resolve().name}"
        join = on_tape(partial(Attached, what), options.tape, about)
        way = on_superlink(options.run_config, flower, join)
    with Workspace() as workspace:
        try:
            run_app(options.app, way, workspace.path, screen, outcome)
        except Interrupted as interrupted:
            outcome.status, outcome.cause = "cancelled", str(interrupted)
            raise
        finally:
            if options.output is not None:
                write_outcome(outcome, options.output, workspace.path)
            if options.json:
                print(outcome.text())
    screen.line(f"flower-v6 | the run completed in {outcome.seconds:.1f} s")


def _image(options: argparse.Namespace, screen: Screen) -> None:
    """`flower-v6 image`."""
    flwr = options.flwr or release_beside_the_bridge()
    image = build_image(options.app, options.tag, flwr, options.base_image, screen.line)
    if options.store is not None:
        options.store.write_text(json.dumps(image.store_entry, indent=2) + "\n")
    screen.line(
        f"flower-v6 | {image.name}: {image.size / 1e6:.0f} MB, flwr {image.manifest.flwr},"
        f" app (FAB) {image.manifest.fab_sha256}"
    )


def _keys(options: argparse.Namespace, _: Screen) -> None:
    """`flower-v6 keys`."""
    for command in keys_for(options.stations, options.output, _flower(options)):
        print(command)


def _local(options: argparse.Namespace) -> tuple[Flower, Sequence[str], Attachment]:
    """Return Flower, and the stations on this machine: their names, and how to attach them."""
    stations = local_stations(options.stations or _DEFAULT_STATIONS, options.node_config)
    flower, mode = _flower(options), getattr(options, "mode", BRIDGE)
    warm = options.supernodes != Lifetime.PER_ROUND
    carrier = local_carrier(stations, flower, warm, mode)
    attachment = Attachment(carrier, options.deadline, flower.release)
    return flower, [each.name for each in stations], attachment


def _flower(options: argparse.Namespace) -> Flower:
    flower = Flower(options.flower_env) if options.flower_env else Flower.from_environment()
    check_untried(flower, direct=getattr(options, "mode", BRIDGE) == DIRECT)
    return flower


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flower-v6", description="Runs unmodified Flower apps by store and forward."
    )
    parser.add_argument("--version", action="version", version=f"flower-v6 {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="run a Flower app on stations on this machine")
    run.add_argument("app", type=Path, metavar="APP", help="the app's folder")
    run.add_argument(
        "--run-config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="override the app's run config, as with `flwr run`; repeatable",
    )
    run.add_argument(
        "--mode",
        choices=MODES,
        default=BRIDGE,
        help="with a SuperLink and SuperNodes, or without: ServerApp and ClientApps by themselves"
        " (default: %(default)s)",
    )
    run.add_argument(
        "--output", type=Path, metavar="DIR", help="where to leave run.json and the logs"
    )
    run.add_argument("--json", action="store_true", help="print run.json to standard output")
    run.set_defaults(function=_run)
    _add_station_options(run)

    image = commands.add_parser("image", help="build the vantage6 algorithm image of a Flower app")
    image.add_argument("app", type=Path, metavar="APP", help="the app's folder")
    image.add_argument("--tag", required=True, metavar="NAME:TAG", help="the image's name")
    image.add_argument(
        "--flwr",
        default="",
        metavar="RELEASE",
        help="the release of Flower in it (default: the one beside flower-v6, else what the app"
        " requires)",
    )
    image.add_argument(
        "--base-image",
        default=BASE_IMAGE,
        metavar="IMAGE",
        help="has Python (default: %(default)s)",
    )
    image.add_argument(
        "--store", type=Path, metavar="FILE", help="where to leave an entry for an algorithm store"
    )
    image.set_defaults(json=False, function=_image)

    attach = commands.add_parser(
        "attach",
        help="make stations SuperNodes of a running SuperLink",
        allow_abbrev=False,  # see `algorithm.login`: a --password is no --password-file
    )
    attach.add_argument(
        "--superlink", required=True, metavar="HOST:PORT", help="the SuperLink's Fleet API"
    )
    attach.add_argument(
        "--root-certificates",
        type=Path,
        metavar="FILE",
        help="what the SuperLink's certificate is checked against, if it has TLS",
    )
    attach.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="the stations' keys, if the SuperLink authenticates SuperNodes: see `flower-v6 keys`",
    )
    attach.set_defaults(json=False, function=_attach)
    _add_station_options(attach)
    add_vantage6_options(attach)

    keys = commands.add_parser(
        "keys", help="make keys for a SuperLink that authenticates SuperNodes"
    )
    keys.add_argument(
        "stations", nargs="+", metavar="NAME", help="the stations; or a number, as --stations"
    )
    keys.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where to leave the keys"
    )
    keys.set_defaults(json=False, function=_keys)
    _add_flower_option(keys)
    add_vantage6_commands(commands)
    add_tape_commands(commands)
    add_compat(commands)
    return parser


def _add_station_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stations",
        type=positive,
        metavar="N",
        help=f"how many on this machine (default: {_DEFAULT_STATIONS})",
    )
    parser.add_argument(
        "--supernodes",
        choices=SUPERNODES,
        help="keep each station's SuperNode, and with it the ClientApp's state, or start one for"
        f" each message (default: {DEFAULT_LIFETIME})",
    )
    parser.add_argument(
        "--node-config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="a SuperNode's config: pairs, or the name of a .toml file, which other users do not"
        " see; repeatable, once for each station. partition-id and num-partitions are set when not"
        " given",
    )
    parser.add_argument(
        "--deadline",
        type=seconds,
        default=DEFAULT_DEADLINE_SECONDS,
        metavar="SECONDS",
        help="how long a station may take for a message (default: %(default)g)",
    )
    add_tape_option(parser)
    _add_flower_option(parser)


def _add_flower_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--flower-env",
        type=Path,
        metavar="DIR",
        help="the virtual environment that holds Flower (default: the one of flower-v6)",
    )


if __name__ == "__main__":
    sys.exit(main())
