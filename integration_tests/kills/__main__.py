"""`make kills`: runs in which processes are killed at random, and what came of it.

    python -m integration_tests.kills N [SEED]

SIGKILL for N processes, in runs of `flower-v6 run --resume` in direct and in bridge mode, and of
`flower-v6 attach --journal` at a SuperLink that lives on. Several are killed in each run: the
central, or another process of ours or Flower's, as the journal grows or at any time. What an
operator would start again is started again. Then has to hold (`rules`):

- everything ends, and nothing is left;
- no message is trained twice, and each has one answer;
- kills of a central cost nothing: the result is, bit by bit, that of a run that nobody disturbed.
  A kill at a station costs one error reply, and all else is the same, bit by bit.

A seed says what is killed when; how far a process is then is never quite the same. A line that
begins with BROKEN says which run broke which rule, and where its files are.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from algorithm.flower.environment import Flower
from integration_tests.kills.local import (
    PATIENCE_SECONDS,
    Course,
    InBridgeMode,
    InDirectMode,
    OnSuperLink,
)
from integration_tests.kills.processes import adopt_orphans, all_ended, by_kind
from integration_tests.kills.rules import Broken, Kill, check_result
from integration_tests.kills.table import Table, told

_LOOK_SECONDS = 0.002
# Of those there have to be enough.
_CENTRAL_SHARE = 0.3
# Where a run is over then, others are more use.
_LOST_SHARE = 0.08
_FEWEST_KILLS = 3
# So many records of the journal, at most, pass until the next kill.
_MOST_RECORDS = 12
_Make = Callable[[Path], Course]


def _attached(folder: Path) -> Course:
    return OnSuperLink(folder, Flower(Path(sys.executable).parent.parent))


# A run in direct mode takes the least, so it is had most.
_COURSES: tuple[tuple[str, _Make], ...] = (
    ("run, direct mode", InDirectMode),
    ("run, direct mode", InDirectMode),
    ("attach", _attached),
    ("run, direct mode", InDirectMode),
    ("run, direct mode", InDirectMode),
    ("run, bridge mode", InBridgeMode),
)


def go_on(course: Course, kills: list[Kill]) -> None:
    """Start the central again if it has ended; raises `Broken` if no kill explains that."""
    if not course.has_to_be_started_again():
        return
    blamed = next((kill for kill in reversed(kills) if _ends(course, kill.kind)), None)
    if blamed is None or blamed.started_again:
        raise Broken(f"the central ended by itself:\n{course.log()}")
    blamed.started_again += 1
    course.start_central()


def _ends(course: Course, kind: str) -> bool:
    return kind.removeprefix("keeper of ") in course.ends_with


def await_moment(course: Course, kills: list[Kill], chance: Random) -> str:
    """Wait for the next kill's moment; returns which it is."""
    records, seconds = chance.randint(1, _MOST_RECORDS), chance.uniform(0, course.seconds)
    by_records, late = chance.random() < 0.6, chance.choice((0.0, 0.0, 0.01, 0.1))
    give_up = time.monotonic() + (PATIENCE_SECONDS if by_records else seconds)
    due = _records(course) + records
    while time.monotonic() < give_up and not course.over:
        go_on(course, kills)
        if by_records and _records(course) >= due:
            time.sleep(late)
            return f"{records} records later"
        time.sleep(_LOOK_SECONDS)
    if by_records and not course.over:
        raise _stuck(course, kills)
    return f"after {seconds:.1f} s"


def _records(course: Course) -> int:
    return course.journal.read_bytes().count(b"\n") if course.journal.exists() else 0


class _Lost(Exception):
    """A message was lost where that may be: docs/guarantees.md says so."""


def _stuck(course: Course, kills: list[Kill]) -> Exception:
    """Return what to raise when nothing happens any more."""
    centrals = [each for each in kills if each.kind == "central"]
    if not centrals or not course.idle:
        return Broken(f"nothing happens any more:\n{course.log()}")
    centrals[-1].message_lost = True
    return _Lost()


def kill(course: Course, when: str, chance: Random) -> Kill | None:
    """Kill a process; None if there is none."""
    found = by_kind()
    lost = chance.random() < _LOST_SHARE
    central, draw = chance.random() < _CENTRAL_SHARE, chance.random()
    kinds = [
        each
        for each in sorted(found)
        if (each.removeprefix("keeper of ") in course.lost_with) == lost
        and each not in course.not_ours
    ]
    if not kinds:
        return None
    kind = "central" if central and "central" in kinds else kinds[int(draw * len(kinds))]
    done = Kill(kind, when, course.trained.last_round)
    try:
        os.kill(chance.choice(found[kind]), signal.SIGKILL)
    except ProcessLookupError:
        return None
    return done


def disturb(course: Course, chance: Random) -> list[Kill]:
    """Have a run in which processes are killed; returns the kills.

    Raises
    ------
    Broken
        If a rule was.
    """
    kills: list[Kill] = []
    try:
        course.start()
        for _ in range(chance.randint(_FEWEST_KILLS, course.most_kills)):
            when = await_moment(course, kills, chance)
            if course.over:
                break
            if done := kill(course, when, chance):
                kills.append(done)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not course.over:
            go_on(course, kills)
            if time.monotonic() > give_up:
                raise _stuck(course, kills)
            time.sleep(0.05)
        course.trained.check()
        if course.failed:
            lost = [
                each for each in kills if each.kind.removeprefix("keeper of ") in course.lost_with
            ]
            if not lost:
                raise Broken(f"the run failed:\n{course.log()}")
            lost[-1].run_failed = True
        else:
            check_result(course.result, course.rounds, kills, course.central_may_cost)
    except Broken as broken:
        raise Broken(f"{broken}{told(kills)}") from None
    except _Lost:
        course.trained.check()
    finally:
        course.stop()
        ended = all_ended()
    # Who ends what Flower's programs leave is their keeper.
    if not ended and not any(each.kind.startswith("keeper of Super") for each in kills):
        raise Broken(f"processes are left{told(kills)}")
    return kills


def main() -> int:
    """Kill as many processes as the command line says; returns the exit code."""
    table, seed = Table(int(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "0"
    adopt_orphans()
    while not table.complete:
        title, make = _COURSES[table.runs % len(_COURSES)]
        chance = Random(f"{seed}/{table.runs}")  # noqa: S311 - nothing is secret
        folder = Path(mkdtemp(prefix="kills-"))
        try:
            kills = disturb(make(folder), chance)
        except Broken as broken:
            table.add_broken(title, broken, folder)
        else:
            table.add(title, kills)
            shutil.rmtree(folder)
    return table.show()


if __name__ == "__main__":
    sys.exit(main())
