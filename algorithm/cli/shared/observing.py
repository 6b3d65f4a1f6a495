"""Who hears of what happens in a run: the screen, `events.jsonl`, and whoever asks for metrics."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from algorithm.monitoring.event_file import EventFile
from algorithm.monitoring.feed import Taker
from algorithm.monitoring.screen import Screen
from algorithm.monitoring.topic import EventTopic
from proxy.carriers import Carrier
from proxy.errors import UsageError
from proxy.text import one_line

if TYPE_CHECKING:
    from algorithm.monitoring.metrics import Metrics


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add --metrics."""
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="serve metrics for Prometheus there, to whoever connects: 127.0.0.1:9464",
    )


def add_events_topic(parser: argparse.ArgumentParser) -> None:
    """Add --events-topic."""
    parser.add_argument(
        "--events-topic",
        metavar="URL",
        help="write the entries of events.jsonl to a Kafka topic, too:"
        " kafka://BROKER:9092/TOPIC?properties=FILE",
    )


@contextmanager
def event_topic(url: str | None) -> Iterator[list[Taker]]:
    """Yield what writes entries to a Kafka topic, if one is named; see `EventTopic`."""
    if url is None:
        yield []
        return
    with closing(EventTopic(url)) as topic:
        yield [topic.write]


@contextmanager
def event_file(output: Path | None, anew: bool) -> Iterator[list[Taker]]:
    """Yield what writes `events.jsonl` in a folder, if one is named; see `EventFile`."""
    if output is None:
        yield []
        return
    with closing(EventFile(output, anew)) as file:
        yield [file.write]


@contextmanager
def metrics_at(
    address: str | None, folder: Path | None, screen: Screen
) -> "Iterator[Metrics | None]":
    """Serve metrics while the body runs, if an address is named.

    Parameters
    ----------
    address : str | None
        Where (HOST:PORT).
    folder : Path | None
        The run's folder, if it has one here.
    screen : Screen
        Says where they are.

    Raises
    ------
    UsageError
        If they cannot be served there, or a library is missing.
    """
    if address is None:
        yield None
        return
    try:
        # Only this option needs the library.
        from algorithm.monitoring.metrics_server import serving  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"--metrics needs {error.name}, which is not installed.",
            "Install it with: pip install 'flower-v6[metrics]'",
        ) from error
    with serving(address, folder) as (metrics, url):
        screen.line(f"flower-v6 | metrics are at {url}")
        yield metrics


@contextmanager
def takers(
    options: argparse.Namespace, screen: Screen, folder: Path, anew: bool
) -> "Iterator[tuple[list[Taker], Metrics | None]]":
    """Yield all that take the entries of a run on this machine, and the metrics among them.

    Parameters
    ----------
    options : argparse.Namespace
        With `output`, `events_topic` and `metrics`.
    screen : Screen
        Shows a table of the stations.
    folder : Path
        The run's folder.
    anew : bool
        Whether `events.jsonl` begins anew.

    Raises
    ------
    AppError
        If `events.jsonl` cannot be written.
    UsageError
        If another command writes it, the topic cannot be used, or the metrics cannot be served.
    """
    with ExitStack() as stack:
        taking = [screen.take, *stack.enter_context(event_file(options.output, anew))]
        taking += stack.enter_context(event_topic(options.events_topic))
        metrics = stack.enter_context(metrics_at(options.metrics, folder, screen))
        if metrics is not None:
            taking.append(metrics.take)
        yield taking, metrics


def online_of(carrier: Carrier) -> Callable[[str], bool]:
    """Return what says whether a station can be reached, by its name as entries have it."""
    names = {one_line(name): name for name in carrier.stations}
    return lambda shown: shown in names and carrier.online(names[shown])
