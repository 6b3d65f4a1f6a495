"""The bridge in a real vantage6, beside an algorithm with nothing in its hands on the same server.

Both have one station. What vantage6 itself takes for a subtask is the measure: the bridge's own
part of a step, from pulling a message to storing its reply and without the time that the SuperNode
has it, over a subtask that moves as many bytes and does nothing.

All that the server keeps makes it slower, whosever it is: to find the run of a task, SQLite goes
through the inputs of all. So the algorithm runs before the bridge and once more after it.
"""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

from algorithm.flower import Flower
from algorithm.image import BASE_IMAGE, build_image
from integration_tests.harness import APPS
from integration_tests.vantage6.busy import PROBE
from integration_tests.vantage6.containers import image_name
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Stack, running_stack

_APP = "large"
_DEADLINE_SECONDS = 600.0
_PATIENCE_SECONDS = 900.0


@dataclass(frozen=True)
class Size:
    """How much a step moves each way, how often, and how the bridge may compare."""

    name: str
    kilobytes: int
    steps: int
    goal: float


# A node looks once a second for containers that have ended, a ServerApp every three for replies:
# only many steps of little work meet the node at every moment of its second.
_SIZES = (
    Size("1 kB", kilobytes=1, steps=16, goal=1.2),
    Size("20 MB", kilobytes=20_000, steps=6, goal=1.1),
)


@dataclass(frozen=True)
class Result:
    """Seconds of one size: of an empty-handed subtask, and of the bridge."""

    size: Size
    subtask: float
    own: float
    clientapp: float
    step: float
    setup: float

    @property
    def ratio(self) -> float:
        """The bridge's own part over a subtask."""
        return self.own / self.subtask


def main() -> int:
    """Measure; returns 1 if a goal is missed."""
    with running_stack() as stack:
        stack.plain.start()
        release = Flower(Path(sys.executable).parent.parent).release
        print(f"flwr {release}, vantage6 4.15.2, python {platform.python_version()}, one station")
        probe = stack.build(PROBE, "probe")
        app = build_image(
            APPS / _APP, image_name(stack.session, _APP), release, BASE_IMAGE, lambda _: None
        )
        print(f"the image with a NumPy app: {app.size / 1e6:.0f} MB", flush=True)
        results = [_measure(stack, probe, app.name, size) for size in _SIZES]
    print(_table(results))
    return 0 if all(each.ratio <= each.size.goal for each in results) else 1


def _measure(stack: Stack, probe: str, app: str, size: Size) -> Result:
    """Measure one size: the empty-handed algorithm before the bridge and after it."""
    researcher = Researcher(stack.plain)
    central, station = stack.plain.organizations[:2]

    def moves() -> list[float]:
        """Return the seconds of each subtask, after the first."""
        bytes_each_way = 1000 * size.kilobytes
        task = researcher.create(
            *(probe, "move", central.id),
            station=station.id,
            size=bytes_each_way,
            times=size.steps,
        )
        seconds: list[float] = researcher.result(task, _PATIENCE_SECONDS)
        return seconds[1:]

    before = moves()
    task = researcher.create(
        app,
        "central",
        central.id,
        organizations=[station.id],
        deadline=_DEADLINE_SECONDS,
        run_config={
            "num-server-rounds": size.steps,
            "num-stations": 1,
            "megabytes": 0,
            "kilobytes": size.kilobytes,
            "evaluate": False,
        },
    )
    outcome = researcher.result(task, _PATIENCE_SECONDS)
    # The first step waits for what is made ready once, the app among it.
    messages = outcome["messages"][1:]
    steps = [sum(each["seconds"].values()) for each in messages]
    clientapp = [each["seconds"]["clientapp"] for each in messages]
    return Result(
        size,
        subtask=mean(before + moves()),
        own=mean(steps) - mean(clientapp),
        clientapp=mean(clientapp),
        step=mean(steps),
        setup=_setup(researcher, task),
    )


def _setup(researcher: Researcher, central: int) -> float:
    """Return the seconds from a central task to its first message."""
    tasks = researcher.get("task", parent_id=central, per_page=100)["data"]
    first = min(_created(each) for each in tasks if each["name"].startswith("train"))
    return (first - _created(researcher.get(f"task/{central}"))).total_seconds()


def _created(task: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(task["created_at"])


def _table(results: list[Result]) -> str:
    lines = [
        "seconds of    subtask   own part   ratio   ClientApp    step   set-up",
    ]
    for each in results:
        met = "" if each.ratio <= each.size.goal else f"  missed: {each.size.goal}"
        lines.append(
            f"{each.size.name:7}{each.subtask:10.2f}{each.own:11.2f}{each.ratio:8.2f}"
            f"{each.clientapp:12.2f}{each.step:8.2f}{each.setup:9.1f}{met}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
