"""`flower-v6 compat`: whether the bridge speaks releases of Flower, or of vantage6."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from algorithm.cli.shared.options import Commands, add_command, add_flower_env, add_json
from algorithm.compat.environment import is_nightly, released
from algorithm.compat.examine import examine_installed, examine_released, supported
from algorithm.compat.vantage6 import examine as vantage6
from algorithm.compat.verdict import HEADING, Verdict, encode, lines
from algorithm.flower.environment import Flower
from algorithm.monitoring.screen import Screen
from algorithm.paths import check_folder, expanded
from proxy.errors import UsageError
from proxy.fleet.releases import version_of


def add(commands: Commands) -> None:
    """Add the command."""
    about = "find out whether the bridge speaks releases of Flower"
    parser = add_command(commands, "compat", compat, about)
    parser.add_argument(
        "releases",
        nargs="*",
        metavar="RELEASE",
        help="releases in the package index, also of flwr-nightly (default: the installed one)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="all releases that the bridge supports")
    which.add_argument(
        "--newest", action="store_true", help="the newest release in the package index"
    )
    parser.add_argument(
        "--vantage6",
        action="store_true",
        help="the releases are vantage6's (default: the newest)",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="also run an app on each release, natively and in each mode, and compare the results",
    )
    parser.add_argument(
        "--tapes",
        type=Path,
        metavar="DIR",
        help="with --live: the folder for a tape of each native run",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="the folder for wheels, and with --live for environments of 0.3 GB each (default:"
        " ~/.cache/flower-v6)",
    )
    add_flower_env(parser)
    add_json(parser, "the result as JSON")


def compat(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command; returns 1 if a mode cannot use one of the releases, else 0.

    Raises
    ------
    BridgeError
        If a release cannot be examined.
    """
    if options.releases and (options.all or options.newest):
        raise UsageError("Name releases, or give --all or --newest; not both.")
    if options.vantage6:
        return _compat_vantage6(options, screen)
    if options.tapes is not None and not options.live:
        raise UsageError("--tapes needs --live: tapes are recorded of native runs.")
    if options.tapes is not None:
        check_folder(options.tapes)
        options.tapes.mkdir(parents=True, exist_ok=True)
    screen.line(HEADING)
    verdicts = []
    for verdict in _verdicts(options):
        verdicts.append(verdict)
        for line in lines(verdict):
            screen.line(line)
    if options.json:
        screen.result(encode(verdicts))
    return 1 if any(verdict.reasons or verdict.direct_reasons for verdict in verdicts) else 0


def _compat_vantage6(options: argparse.Namespace, screen: Screen) -> int:
    """Do the same for releases of vantage6, by what they publish."""
    if options.live or options.tapes is not None or options.flower_env is not None:
        raise UsageError("--vantage6 goes with releases, --all, --newest, --cache and --json only.")
    cache = options.cache or _cache()
    check_folder(cache)
    known = vantage6.known()
    screen.line(vantage6.HEADING)
    verdicts = []
    for release in options.releases or (known if options.all else known[-1:]):
        verdicts.append(vantage6.examine(release, known, cache))
        for line in vantage6.lines(verdicts[-1]):
            screen.line(line)
    if options.json:
        screen.result(vantage6.encode(verdicts))
    return 1 if any(verdict.reasons for verdict in verdicts) else 0


def _verdicts(options: argparse.Namespace) -> Iterator[Verdict]:
    if not (options.releases or options.all or options.newest):
        flower = Flower(options.flower_env) if options.flower_env else Flower.from_environment()
        yield examine_installed(flower, options.live, options.tapes)
        return
    cache = options.cache or _cache()
    check_folder(cache)
    known = released()
    wanted = options.releases or (supported(known) if options.all else known[-1:])
    for release in wanted:
        if release not in known and not is_nightly(release):
            raise UsageError(f"The package index has no flwr {release} for this Python.")
        older = [other for other in known if version_of(other) < version_of(release)]
        before = older[-1] if older else None
        yield examine_released(release, before, cache, options.live, options.tapes)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else expanded("~/.cache")) / "flower-v6"
