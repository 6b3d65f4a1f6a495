"""The bridge in a real vantage6, beside an algorithm with nothing in its hands on the same server.

It is measured in both generations: in 4.15 on SQLite, in 5 on PostgreSQL. Both have one station.
What vantage6 itself takes for a subtask is the measure: the bridge's own part of a step, from
pulling a message to storing its reply and without the time that the SuperNode has it, over a
subtask that moves as many bytes and does nothing. In direct mode it is the whole step, with the
ClientApp and as the ServerApp sees it, over the same.

All that the server keeps makes it slower, whosever it is: to find the run of a task, SQLite goes
through the inputs of all. So the algorithm runs before the bridge and once more after it.
"""

import json
import math
import os
import platform
import sys
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.flower.environment import Flower
from algorithm.image.build import BASE_IMAGE, build_image
from integration_tests.harness import APPS, native_federation, run_on
from integration_tests.vantage6 import busy as busy_4
from integration_tests.vantage6 import researcher as researcher_4
from integration_tests.vantage6 import stack as stack_4
from integration_tests.vantage6.containers import image_name
from integration_tests.vantage6_5 import busy as busy_5
from integration_tests.vantage6_5 import researcher as researcher_5
from integration_tests.vantage6_5 import stack as stack_5
from proxy.calls import Mode

Researcher = researcher_4.Researcher | researcher_5.Researcher
Stack = stack_4.Stack | stack_5.Stack

_APP, _RESULT = "large", "large-result.json"
_DEADLINE_SECONDS = 600.0
_PATIENCE_SECONDS = 900.0


@dataclass(frozen=True)
class Size:
    """How much a step moves each way, how often, and how each mode may compare.

    Attributes
    ----------
    own_goal : float
        The own part of a step in bridge mode, over an empty-handed subtask.
    step_goal : float
        A whole step in direct mode, over the same.
    """

    name: str
    kilobytes: int
    steps: int
    own_goal: float
    step_goal: float = math.inf


# A node looks once a second for containers that have ended, a ServerApp every three for replies:
# only many steps of little work meet the node at every moment of its second.
_SIZES = (
    Size("1 kB", kilobytes=1, steps=16, own_goal=1.2, step_goal=1.2),
    Size("20 MB", kilobytes=20_000, steps=6, own_goal=1.1),
)


@dataclass(frozen=True)
class Generation:
    """A vantage6 to measure in.

    Attributes
    ----------
    release : str
        Its release.
    running_stack : Callable[[], AbstractContextManager[Stack]]
        Starts it.
    probe : Path
        The folder of the empty-handed algorithm.
    """

    release: str
    running_stack: Callable[[], AbstractContextManager[Stack]]
    probe: Path


_GENERATIONS = (
    Generation("4.15.2", stack_4.running_stack, busy_4.PROBE),
    Generation("5.0.3", stack_5.running_stack, busy_5.PROBE),
)


@dataclass(frozen=True)
class Result:
    """Seconds of one size in one mode, and of an empty-handed subtask.

    Attributes
    ----------
    step : float
        As the ServerApp sees it.
    """

    size: Size
    mode: str
    subtask: float
    own: float
    clientapp: float
    step: float
    setup: float

    @property
    def measured(self) -> float:
        """What the goal is about, over a subtask: the own part, or in direct mode the step."""
        return (self.step if self.mode == Mode.DIRECT else self.own) / self.subtask

    @property
    def goal(self) -> float:
        """How large it may be."""
        return self.size.step_goal if self.mode == Mode.DIRECT else self.size.own_goal


def main() -> int:
    """Measure; returns 1 if a goal is missed."""
    flower = Flower(Path(sys.executable).parent.parent)
    results = [each for generation in _GENERATIONS for each in _measured(generation, flower)]
    print(f"a step of native Flower with 1 kB, without vantage6: {_native_step(flower):.2f} s")
    return 0 if all(each.measured <= each.goal for each in results) else 1


def _measured(generation: Generation, flower: Flower) -> list[Result]:
    """Measure all sizes in one vantage6."""
    release = flower.release
    with generation.running_stack() as stack:
        stack.plain.start()
        print(
            f"flwr {release}, vantage6 {generation.release}, python {platform.python_version()},"
            " one station"
        )
        probe = stack.build(generation.probe, "probe")
        app = build_image(
            APPS / _APP, image_name(stack.session, _APP), release, BASE_IMAGE, lambda _: None
        )
        print(f"the image with a NumPy app: {app.size / 1e6:.0f} MB", flush=True)
        results = [each for size in _SIZES for each in _measure(stack, probe, app.name, size)]
    print(_table(results), flush=True)
    return results


def _measure(stack: Stack, probe: str, app: str, size: Size) -> list[Result]:
    """Measure one size: the empty-handed algorithm before each mode and after it."""
    researcher = _researcher(stack)
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

    def run(mode: str) -> int:
        """Run the app; returns the central task."""
        task = researcher.create(
            app,
            "central",
            central.id,
            mode=mode,
            organizations=[station.id],
            deadline=_DEADLINE_SECONDS,
            run_config=_run_config(size.kilobytes, size.steps),
        )
        researcher.result(task, _PATIENCE_SECONDS)
        return task

    results, before = [], moves()
    for mode in Mode:
        task, after = run(mode), moves()
        results.append(_result(researcher, size, mode, task, mean(before + after)))
        before = after
    return results


def _researcher(stack: Stack) -> Researcher:
    if isinstance(stack, stack_5.Stack):
        return researcher_5.Researcher(stack.plain)
    return researcher_4.Researcher(stack.plain)


def _result(researcher: Researcher, size: Size, mode: str, task: int, subtask: float) -> Result:
    outcome = researcher.left(task)
    # The first step waits for what is made ready once, the app among it.
    messages = outcome["messages"][1:]
    clientapp = [each["seconds"]["clientapp"] for each in messages]
    seen = json.loads(b64decode(outcome["files"][_RESULT]))
    return Result(
        size,
        mode,
        subtask=subtask,
        own=mean(sum(each["seconds"].values()) for each in messages) - mean(clientapp),
        clientapp=mean(clientapp),
        step=mean(seen["seconds"][1:]),
        setup=_setup(researcher, task),
    )


def _run_config(kilobytes: int, steps: int) -> dict[str, Any]:
    return {
        "num-server-rounds": steps,
        "num-stations": 1,
        "megabytes": 0,
        "kilobytes": kilobytes,
        "evaluate": False,
    }


def _native_step(flower: Flower) -> float:
    """Return the seconds of a step of little work, with one SuperNode and Flower's own settings."""
    os.environ["FLWR_SUPEREXEC_TASK_POLL_INTERVAL"] = "1.0"
    with (
        TemporaryDirectory() as folder,
        native_federation(flower, Path(folder, "native"), [""]) as federation,
    ):
        config = {key.replace("-", "_"): each for key, each in _run_config(1, 8).items()}
        (result,) = run_on([federation], _APP, ".json", **config)
        seconds: list[float] = json.loads(result.read_text())["seconds"]
    return mean(seconds[1:])


def _setup(researcher: Researcher, central: int) -> float:
    """Return the seconds from a central task to its first message."""
    tasks = researcher.get("task", parent_id=central, per_page=100)["data"]
    first = min(_created(each) for each in tasks if each["name"].startswith("train"))
    return (first - _created(researcher.get(f"task/{central}"))).total_seconds()


def _created(task: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(task["created_at"])


def _table(results: list[Result]) -> str:
    lines = [
        "seconds of          subtask   own part   over   ClientApp    step   over   set-up",
    ]
    for each in results:
        met = "" if each.measured <= each.goal else f"  missed: {each.goal}"
        lines.append(
            f"{each.size.name:7}{each.mode:10}{each.subtask:10.2f}"
            f"{each.own:11.2f}{each.own / each.subtask:7.2f}{each.clientapp:12.2f}"
            f"{each.step:8.2f}{each.step / each.subtask:7.2f}{each.setup:9.1f}{met}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
