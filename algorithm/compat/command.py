"""`flower-v6 compat`."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from algorithm.compat.environment import is_nightly, released
from algorithm.compat.examine import examine_installed, examine_released, supported
from algorithm.compat.verdict import HEADING, Verdict, encode, lines
from algorithm.flower import Flower
from algorithm.screen import Screen
from proxy.errors import UsageError
from proxy.fleet.releases import version_of


def add_compat(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = commands.add_parser(
        "compat", help="find out whether the bridge speaks releases of Flower"
    )
    parser.add_argument(
        "releases",
        nargs="*",
        metavar="RELEASE",
        help="releases that the package index has, also of flwr-nightly: 1.43.0.dev20261026"
        " (default: the one that is installed)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="all that the bridge means to speak")
    which.add_argument("--newest", action="store_true", help="the newest in the package index")
    parser.add_argument(
        "--live",
        action="store_true",
        help="also run an app on each, natively and in each mode, and compare the results",
    )
    parser.add_argument(
        "--tapes", type=Path, metavar="DIR", help="with --live: leave a tape of each native run"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flower-v6",
        metavar="DIR",
        help="keeps wheels, and with --live environments of 0.3 GB each (default: %(default)s)",
    )
    parser.add_argument(
        "--flower-env",
        type=Path,
        metavar="DIR",
        help="the virtual environment with the installed Flower (default: the one of flower-v6)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to standard output")
    parser.set_defaults(function=compat)


def compat(options: argparse.Namespace, screen: Screen) -> int:
    """Run the command; returns 1 if a mode cannot use one of the releases, else 0."""
    if options.releases and (options.all or options.newest):
        raise UsageError("Name releases, or give --all or --newest.")
    if options.tapes is not None and not options.live:
        raise UsageError("A tape is left of a native run: give --live with --tapes.")
    if options.tapes is not None:
        options.tapes.mkdir(parents=True, exist_ok=True)
    screen.line(HEADING)
    verdicts = []
    for verdict in _verdicts(options):
        verdicts.append(verdict)
        for line in lines(verdict):
            screen.line(line)
    if options.json:
        print(encode(verdicts))
    return 1 if any(verdict.reasons or verdict.direct_reasons for verdict in verdicts) else 0


def _verdicts(options: argparse.Namespace) -> Iterator[Verdict]:
    if not (options.releases or options.all or options.newest):
        flower = Flower(options.flower_env) if options.flower_env else Flower.from_environment()
        yield examine_installed(flower, options.live, options.tapes)
        return
    known = released()
    wanted = options.releases or (supported(known) if options.all else known[-1:])
    for release in wanted:
        if release not in known and not is_nightly(release):
            raise UsageError(f"The package index has no flwr {release} for this Python.")
        older = [each for each in known if version_of(each) < version_of(release)]
        before = older[-1] if older else None
        yield examine_released(release, before, options.cache, options.live, options.tapes)
