"""What is measured, and what is good enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.costs import Cost
from benchmarks.measure import (
    DIRECT,
    DIRECT_PER_ROUND,
    NATIVE,
    WARM,
    Measurement,
    Size,
)
from benchmarks.telling import Telling

# The ServerApp's Grid looks for replies every 3 s, so a step is 0, 3, 6 or 9 s and its mean
# needs many of them; for the larger models the bytes take most of the time.
TRIVIAL = Size(kilobytes=1, rounds=8)
MEDIUM = Size(kilobytes=10_000, rounds=4)
LARGE = Size(kilobytes=100_000, rounds=2)
# Each array is two objects, each object a call, six times on its way there and back: natively, too.
MANY = Size(kilobytes=40, rounds=2, arrays=500, modes=(NATIVE, WARM, DIRECT))
SIZES = (TRIVIAL, MEDIUM, LARGE, MANY)
# Of models in direct mode whose cost in memory and disk is measured.
COST_MEGABYTES = (100, 600)

_STEP_OVER_NATIVE, _STEP_AIM = 1.0, 0.5
_MODES_OVER_NATIVE = {
    (TRIVIAL, DIRECT): 0.1,
    (TRIVIAL, DIRECT_PER_ROUND): 0.5,
    (LARGE, DIRECT): 1.0,
    (MANY, WARM): 1.0,
    (MANY, DIRECT): 0.3,
}
_COMMAND_MB, _DISK_OVER_MODEL = 120.0, 4.2
_OWN_SECONDS = 0.5
_BYTES_OVER_OBJECTS = 1.01
_FABS_SENT = 1
_OVER_IDLE_MIB = 64.0
_TELLING_OVER_STEP = 0.01

Results = Mapping[tuple[Size, str], Measurement]


@dataclass(frozen=True)
class Goal:
    """A goal, and what became of it.

    Attributes
    ----------
    what : str
        What is measured.
    measured, wanted : str
        The value, and what it ought to be.
    met : bool
        Whether it is.
    """

    what: str
    measured: str
    wanted: str
    met: bool


def cost_goals(costs: Sequence[Cost]) -> list[Goal]:
    """Compare what sizes cost with the goals; what Flower's own processes take is Flower's."""
    found = []
    for cost in costs:
        for name in ("command", "station"):
            peak = cost.peak_mb[name]
            found.append(
                Goal(
                    f"{cost.megabytes} MB, {DIRECT}: peak memory, {name}",
                    f"{peak:.0f} MB",
                    f"<= {_COMMAND_MB:.0f} MB",
                    peak <= _COMMAND_MB,
                )
            )
        ratio = cost.disk_mb / cost.megabytes
        found.append(
            Goal(
                f"{cost.megabytes} MB, {DIRECT}: temporary disk over the model",
                f"{ratio:.2f}",
                f"<= {_DISK_OVER_MODEL:.2f}",
                ratio <= _DISK_OVER_MODEL,
            )
        )
    return found


def telling_goal(telling: Telling, results: Results) -> Goal:
    """Compare what events and metrics cost with the goal."""
    share = telling.share_of(results[TRIVIAL, DIRECT].step)
    return Goal(
        f"{TRIVIAL}, {DIRECT}: CPU of events and metrics over a step",
        f"{share:.4f}",
        f"<= {_TELLING_OVER_STEP}",
        share <= _TELLING_OVER_STEP,
    )


def goals(results: Results) -> list[Goal]:
    """Compare the results with the goals."""
    trivial = results[TRIVIAL, WARM]
    ratio = trivial.step / results[TRIVIAL, NATIVE].step
    own = mean(trivial.own_seconds)
    found = [
        Goal(
            f"{TRIVIAL}: seconds per step over native",
            f"{ratio:.2f}",
            f"<= {_STEP_OVER_NATIVE:.2f} (aim: {_STEP_AIM:.2f})",
            ratio <= _STEP_OVER_NATIVE,
        ),
        Goal(
            f"{TRIVIAL}: the bridge's own part of a message",
            f"{own:.2f} s",
            f"<= {_OWN_SECONDS:.2f} s",
            own <= _OWN_SECONDS,
        ),
    ]
    for size in (MEDIUM, LARGE):
        ratio = results[size, WARM].bytes_over_objects
        found.append(
            Goal(
                f"{size}: bytes in bundles over object bytes",
                f"{ratio:.4f}",
                f"<= {_BYTES_OVER_OBJECTS}",
                ratio <= _BYTES_OVER_OBJECTS,
            )
        )
    for size in (TRIVIAL, MEDIUM, LARGE):
        sent = results[size, WARM].fabs_sent
        found.append(
            Goal(
                f"{size}: FABs sent to each station",
                ", ".join(map(str, sent)),
                f"exactly {_FABS_SENT}",
                set(sent) == {_FABS_SENT},
            )
        )
    for (size, mode), most in _MODES_OVER_NATIVE.items():
        ratio = results[size, mode].step / results[size, NATIVE].step
        found.append(
            Goal(
                f"{size}, {mode}: seconds per step over native",
                f"{ratio:.2f}",
                f"<= {most:.2f}",
                ratio <= most,
            )
        )
    for memory in results[LARGE, WARM].memory:
        found.append(
            Goal(
                f"{LARGE}: peak memory over idle, {memory.process} proxy",
                f"{memory.over_idle_mib:.1f} MiB",
                f"<= {_OVER_IDLE_MIB:.0f} MiB",
                memory.over_idle_mib <= _OVER_IDLE_MIB,
            )
        )
    return found
