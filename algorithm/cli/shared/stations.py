"""Stations on this machine, as options say: for run, attach and keys."""

import argparse
from pathlib import Path

from algorithm.cli.shared.options import (
    add_deadline,
    add_flower_env,
    add_supernodes,
    positive,
)
from algorithm.compat.gate import check_untried
from algorithm.flower.environment import Flower
from algorithm.runs.lanes import LaneStations, lanes_of
from algorithm.runs.stations import LocalStations, local_stations
from proxy.calls import DEFAULT_DEADLINE_SECONDS, DEFAULT_MODE, Lifetime, Mode
from proxy.errors import UsageError

_STATIONS = 2
# Each is a thread or two, and a process: far more than a machine bears.
_MOST_STATIONS = 10_000


def add_station_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the stations are."""
    parser.add_argument(
        "--stations",
        type=positive(int, _MOST_STATIONS),
        metavar="N",
        help=f"the number of stations on this machine (default: {_STATIONS})",
    )
    add_supernodes(parser)
    parser.add_argument(
        "--node-config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="a SuperNode's config, or a .toml file that has it; once for each station;"
        " station-name, partition-id and num-partitions are added if they are missing",
    )
    add_deadline(parser, DEFAULT_DEADLINE_SECONDS)
    parser.add_argument(
        "--tape",
        type=Path,
        metavar="TAPE",
        help="record there what SuperLink and stations say to each other",
    )
    add_flower_env(parser)


def add_lane_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that make resident stations the stations."""
    group = parser.add_argument_group(
        "lanes", "With --lane the stations are those that `flower-v6 station` keeps elsewhere."
    )
    group.add_argument(
        "--lane",
        action="append",
        default=[],
        metavar="NAME=LANE",
        help="a station and the lane to it, as north=folder:/mnt/share; repeatable",
    )
    group.add_argument(
        "--lane-keys",
        type=Path,
        metavar="DIR",
        help="the folder with the central's key and the stations' public ones",
    )
    group.add_argument(
        "--unsealed",
        action="store_true",
        help="do not seal letters: whoever runs the store or broker can read and change them",
    )


def lane_stations(options: argparse.Namespace) -> LaneStations:
    """Return the resident stations that the options name.

    Raises
    ------
    UsageError
        If the options do not go together.
    """
    for name in ("stations", "node_config", "supernodes"):
        if getattr(options, name):
            raise UsageError(
                f"--{name.replace('_', '-')} cannot be used with --lane.",
                "A resident station has that in its own file.",
            )
    if options.unsealed == (options.lane_keys is not None):
        raise UsageError(
            "A lane needs --lane-keys, or --unsealed, and not both.",
            "`flower-v6 keys --lane` makes keys.",
        )
    mode = getattr(options, "mode", DEFAULT_MODE)
    return LaneStations(lanes_of(options.lane), options.lane_keys, options.deadline, mode)


def flower(options: argparse.Namespace) -> Flower:
    """Return the Flower environment that the options name.

    Raises
    ------
    FlowerError
        If there is none, or one that the bridge cannot use.
    """
    flower = Flower(options.flower_env) if options.flower_env else Flower.from_environment()
    check_untried(flower, direct=getattr(options, "mode", DEFAULT_MODE) == Mode.DIRECT)
    return flower


def chosen_stations(options: argparse.Namespace) -> LocalStations:
    """Return the stations on this machine that the options name.

    Raises
    ------
    UsageError
        If the node configs do not fit the stations.
    FlowerError
        As `flower`.
    """
    return LocalStations(
        local_stations(options.stations or _STATIONS, options.node_config),
        flower(options),
        options.deadline,
        warm=options.supernodes != Lifetime.PER_ROUND,
        mode=getattr(options, "mode", DEFAULT_MODE),
    )
