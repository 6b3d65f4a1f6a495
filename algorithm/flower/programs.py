"""Which of Flower's programs run below a process; only Linux tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.clock import SYSTEM_CLOCK, Clock

CLIENTAPP, SERVERAPP, SUPEREXEC = "flwr-clientapp", "flwr-serverapp", "flower-superexec"
# An app that has ended may have a reply on its way; a SuperExec may be about to be replaced.
_LOOK_SECONDS = 5.0
# Where `/proc/<pid>/stat` has them behind the name, which is cut there (proc_pid_stat(5)).
_STATE, _PARENT, _STARTED = 0, 1, 19
_NAME_LENGTH = 15


@dataclass(frozen=True)
class Program:
    """A process.

    Attributes
    ----------
    pid, parent : int
        Its number, and its parent's.
    started : int
        When it was started, in ticks of the system's clock.
    name : str
        One of those above; empty for any other.
    running : bool
        Whether it has not ended. One that has is there until its parent has heard of it.
    """

    pid: int
    parent: int
    started: int
    name: str
    running: bool


def programs_below(ancestor: int) -> list[Program]:
    """Return Flower's programs below a process."""
    there = {program.pid: program for program in _processes()}
    return [
        program
        for program in there.values()
        if program.name and _is_below(program, ancestor, there)
    ]


class SuperExec:
    """The SuperExec of a SuperLink or SuperNode, which starts its ServerApps or ClientApps.

    Without it none is started any more, and all wait: Flower does not notice that it has ended
    (flwr 1.41, `superlink/cli/flower_superlink.py` and `supernode/start_client_internal.py`).

    Parameters
    ----------
    above : int
        A process that the SuperLink or SuperNode runs below.
    starts : str
        `SERVERAPP` or `CLIENTAPP`.
    clock : Clock
        Tells when to look again.
    """

    def __init__(self, above: int, starts: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._above = above
        self._starts = starts
        self._clock = clock
        self._look_at = 0.0
        self._was_there = False
        self._looks_in_vain = 0

    def is_missed(self) -> bool:
        """Whether it has ended and no app runs, both at the last look and the one before."""
        if self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + _LOOK_SECONDS
            self._look()
        return self._looks_in_vain > 1

    def _look(self) -> None:
        below = programs_below(self._above)
        self._was_there |= any(program.name == SUPEREXEC for program in below)
        running = {program.name for program in below if program.running}
        in_vain = self._was_there and not {SUPEREXEC, self._starts} & running
        self._looks_in_vain = self._looks_in_vain + 1 if in_vain else 0


def _is_below(program: Program, ancestor: int, there: Mapping[int, Program]) -> bool:
    above: Program | None = program
    while above is not None and above.parent != ancestor:
        above = there.get(above.parent)
    return above is not None


def _processes() -> Iterator[Program]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_bytes().rpartition(b")")
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        fields = rest.split()
        yield Program(
            int(folder.name),
            int(fields[_PARENT]),
            int(fields[_STARTED]),
            _name_of(arguments, name.rpartition(b"(")[2].decode(errors="replace")),
            fields[_STATE] != b"Z",
        )


def _name_of(arguments: list[str], short: str) -> str:
    """Return which of Flower's programs it is; one that has ended has a short name only."""
    # A script is its interpreter's first argument.
    names = [Path(argument).name for argument in arguments[:2]]
    for name in (CLIENTAPP, SERVERAPP, SUPEREXEC):
        if name in names or (not arguments[0] and short == name[:_NAME_LENGTH]):
            return name
    return ""
