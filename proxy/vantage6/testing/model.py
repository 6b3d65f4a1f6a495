"""What a server knows: collaborations and tasks; and what its nodes do with a task."""

import json
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_NOT_ENDED = ("pending", "initializing", "active")


class Ended(Exception):
    """Raised by a task's function, it ends the task in another way than "completed".

    Parameters
    ----------
    status : str
        One of vantage6's: "crashed", "not allowed", "non-existing Docker image" and so on.
    result : bytes
        What the container had written by then.
    """

    def __init__(self, status: str, result: bytes = b"") -> None:
        super().__init__(status)
        self.status = status
        self.result = result


@dataclass
class Collaboration:
    """A collaboration; `nodes` says of each organization that has a node whether it is online."""

    name: str
    organizations: list[int]
    encrypted: bool
    nodes: dict[int, bool]


@dataclass(frozen=True)
class Asked:
    """A task as it was asked for; `input` as the container reads it."""

    name: str
    image: str
    collaboration: int
    organization: int
    input: dict[str, Any]
    description: str = ""
    databases: tuple[str, ...] = ("default",)


@dataclass(eq=False)
class FakeTask:
    """A task with its one run.

    Attributes
    ----------
    asked : Asked
        What was asked for.
    parent : FakeTask | None
        The task whose container created it.
    result : bytes | None
        As the container wrote it.
    log : str
        What the container prints; its function may add to it.
    killed : threading.Event
        Set when a user kills the task, and when the server is closed: a function may wait for it.
    """

    id: int
    asked: Asked
    parent: "FakeTask | None"
    status: str = "pending"
    result: bytes | None = None
    log: str = ""
    killed: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def run(self) -> int:
        """The id of its run, which is no task's."""
        return self.id + 1_000_000

    @property
    def input(self) -> dict[str, Any]:
        """Its input, as the container reads it."""
        return self.asked.input

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status not in _NOT_ENDED

    @property
    def finished(self) -> bool:
        """Whether it has a date of its end: none if its node could get no token for it."""
        return self.ended and self.status != "failed"


# What a container would do: it returns what it writes to its output file (a mapping as JSON), or
# None to stay "active" for ever.
Function = Callable[[FakeTask], bytes | Mapping[str, Any] | None]


class Model:
    """All that there is; `function` runs, in a thread of its own, when a node starts a task."""

    def __init__(self, function: Function, organizations: Mapping[int, str]) -> None:
        self.lock = threading.RLock()
        self.organizations = organizations
        self.collaborations: dict[int, Collaboration] = {}
        self.studies: dict[int, list[int]] = {}
        self.tasks: dict[int, FakeTask] = {}
        self._function = function

    def add(self, asked: Asked, parent: FakeTask | None = None) -> FakeTask:
        """Add a task that no node has yet."""
        with self.lock:
            task = FakeTask(len(self.tasks) + 1, asked, parent)
            self.tasks[task.id] = task
        return task

    def create(self, asked: Asked, parent: FakeTask | None = None) -> FakeTask:
        """Create a task, and start it if its node is online."""
        with self.lock:
            task = self.add(asked, parent)
            self._start(task)
        return task

    def node_online(self, task: FakeTask) -> bool:
        """Whether the node is online that has a task."""
        nodes = self.collaborations[task.asked.collaboration].nodes
        return nodes[task.asked.organization]

    def set_node(self, collaboration: int, organization: int, online: bool) -> None:
        """Have a node go away, or come back and start what is pending."""
        with self.lock:
            self.collaborations[collaboration].nodes[organization] = online
            for task in list(self.tasks.values()):
                if task.status == "pending":
                    self._start(task)

    def kill(self, task: FakeTask) -> None:
        """End a task and those that its container created."""
        with self.lock:
            for each in self.tasks.values():
                if task in (each, each.parent) and not each.ended:
                    each.status = "killed by user"
                    each.killed.set()

    def _start(self, task: FakeTask) -> None:
        if self.node_online(task):
            task.status = "active"
            threading.Thread(target=self._run, args=[task], daemon=True).start()

    def _run(self, task: FakeTask) -> None:
        found: bytes | Mapping[str, Any] | None
        status = "completed"
        try:
            found = self._function(task)
        except Ended as ended:
            status, found = ended.status, ended.result
        except Exception:
            task.log += traceback.format_exc()
            status, found = "crashed", b""
        with self.lock:
            if found is not None and not task.killed.is_set():
                data = json.dumps(dict(found)).encode() if isinstance(found, Mapping) else found
                task.result, task.status = data, status
