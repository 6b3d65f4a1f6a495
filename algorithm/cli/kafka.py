"""`flower-v6 kafka`: what an operator makes in Kafka for stations on lanes."""

import argparse
from collections.abc import Mapping

from algorithm.cli.shared.options import Commands, add_command
from algorithm.monitoring.screen import Screen
from algorithm.runs.lanes import lanes_of
from proxy.errors import UsageError
from proxy.lanes.letters.keys import STATION_NAME
from proxy.lanes.mailboxes.kafka_client import KafkaClient
from proxy.lanes.mailboxes.kafka_topics import commands, make

_SCHEME = "kafka:"


def add(subparsers: Commands) -> None:
    """Add the command."""
    about = "print what an operator makes in Kafka for stations on lanes, or make it"
    parser = add_command(subparsers, "kafka", kafka, about)
    parser.add_argument("object", choices=["topics"], help="topics, and who may use them (ACLs)")
    parser.add_argument(
        "--lane",
        action="append",
        required=True,
        metavar="NAME=LANE",
        help="stations and their lane, as north,south=kafka://broker:9092/flower; repeatable",
    )
    parser.add_argument(
        "--make", action="store_true", help="make them, as the user whom `properties` names"
    )


def kafka(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If a lane is none in Kafka, or the broker refuses.
    """
    for lane, stations in _by_lane(lanes_of(options.lane)).items():
        client = KafkaClient.of(lane.removeprefix(_SCHEME))
        for line in (make if options.make else commands)(client, stations):
            screen.result(line)


def _by_lane(lanes: Mapping[str, str]) -> dict[str, list[str]]:
    by_lane: dict[str, list[str]] = {}
    for station, lane in lanes.items():
        if not lane.startswith(_SCHEME) or not STATION_NAME.fullmatch(station):
            raise UsageError(
                f"{f'{station}={lane}'!r} is not a station and its lane in Kafka.",
                "Write NAME=kafka://BROKER:9092/PREFIX",
            )
        by_lane.setdefault(lane, []).append(station)
    return by_lane
