"""A ServerApp in a process of Flower's interpreter: no SuperLink."""

import json
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from algorithm.flower.environment import SCRIPTS, Flower
from algorithm.flower.manifest import Manifest
from algorithm.flower.script import Script
from algorithm.runs.takes import Takes
from protos import fleet_pb2 as fleet
from proxy import strict_json
from proxy.blocks import Data, Joined, in_memory
from proxy.central.link_state import LinkState, NodeInfo
from proxy.errors import FleetError, FlowerError
from proxy.fleet.inline import MAX_WHOLE_BYTES
from proxy.fleet.messages import SUPERLINK_NODE_ID
from proxy.fleet.releases import names_of
from proxy.system import GRACE_SECONDS
from proxy.system.process import Process

log = logging.getLogger(__name__)

_SCRIPT = SCRIPTS / "run_serverapp.py"


@dataclass(frozen=True)
class Fixed:
    """What a run keeps, however often its ServerApp is started.

    Attributes
    ----------
    run_id, task_id : int
        The ids of the Flower run, and of the task that its ServerApp is.
    nodes : Mapping[str, int]
        The node ids by station; where a station has none here, it gets one by itself.
    seed : int | None
        For generators of random numbers; None to leave them alone.
    """

    run_id: int
    task_id: int
    nodes: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None

    @classmethod
    def new(cls) -> Self:
        """Return those of a new run that nobody starts again."""
        return cls(1 + secrets.randbits(63), 1 + secrets.randbits(63))

    @classmethod
    def lasting(cls, stations: Sequence[str]) -> Self:
        """Return those of a new run that may be started again."""
        nodes = {name: SUPERLINK_NODE_ID + 1 + secrets.randbits(63) for name in stations}
        return replace(cls.new(), nodes=nodes, seed=secrets.randbits(32))


class ServerApp:
    """The process, and the messages between its Grid and the nodes.

    The process is started at once, because its imports take time. It has to be stopped.

    Parameters
    ----------
    flower : Flower
        The environment that it is started from.
    home : Path
        Its Flower home.
    log_file : Path
        Where its output is appended.
    fixed : Fixed | None
        What it has in common with earlier starts; None if nobody starts it again.
    takes : Takes
        Which replies those took; hears which are taken now.

    Attributes
    ----------
    links : LinkState
        Where virtual SuperNodes get its messages.
    run_id : int
        The id of the Flower run.
    """

    def __init__(
        self,
        flower: Flower,
        home: Path,
        log_file: Path,
        fixed: Fixed | None = None,
        takes: Takes | None = None,
    ) -> None:
        self._fixed = fixed or Fixed.new()
        self.links = LinkState(self._deliver, node_ids=self._fixed.nodes)
        self.run_id = self._fixed.run_id
        self._takes = takes or Takes()
        self._failure = ""
        self._done = False
        self._names = names_of(flower.release)
        seed = self._fixed.seed
        variables = {} if seed is None else {"PYTHONHASHSEED": str(seed)}
        self._script = Script(flower, _SCRIPT, home, log_file, variables)
        self._reader = threading.Thread(target=self._read, name="ServerApp", daemon=True)
        self._teller = threading.Thread(target=self._tell_news, name="nodes", daemon=True)

    @property
    def process(self) -> Process:
        """The process."""
        return self._script.process

    def begin(self, fab: bytes, run_config: Mapping[str, Any]) -> None:
        """Start the app.

        Parameters
        ----------
        fab : bytes
            The app.
        run_config : Mapping[str, Any]
            What overrides its run config.

        Raises
        ------
        AppError
            If it is no app.
        FlowerError
            If the process has ended.
        """
        app = Manifest.of_fab(fab)
        start = {
            "names": self._names,
            "run_id": self.run_id,
            "task_id": self._fixed.task_id,
            "seed": self._fixed.seed,
            "before": self._takes.before,
            "late": self._takes.late,
            "run_config": run_config,
            "fab_id": f"{app.publisher}/{app.name}",
            "fab_version": app.version,
            "fab_hash": app.fab_sha256,
            "max_message_bytes": MAX_WHOLE_BYTES,
        }
        try:
            self._script.send(b"S", json.dumps(start).encode())
            self._script.send(b"F", fab)
            _, run = self._script.receive()
            self.links.open(in_memory(run), fleet.Fab(hash_str=app.fab_sha256, content=fab))
            self._script.send(b"N", _encoded(self.links.news()))
        except EOFError as error:
            self.process.wait(GRACE_SECONDS)
            self.process.stop()
            raise FlowerError(
                f"The ServerApp's process ended with exit code {self.process.exit_code} before it"
                f" began.\n{self.process.log_tail()}"
            ) from error
        self._reader.start()
        self._teller.start()

    def end(self) -> str:
        """Return why the app did not complete; empty if it did. The process has ended."""
        self._reader.join()
        if self._done or self._failure:
            return self._failure
        return f"The ServerApp ended its process with exit code {self.process.exit_code}."

    def stop(self) -> None:
        """End the process with all its descendants."""
        self._script.stop()

    def _read(self) -> None:
        """Take what the Grid sends, until the process ends."""
        content: Data = b""
        try:
            while True:
                kind, data = self._script.receive()
                match kind:
                    case b"C":
                        content = data
                    case b"B":
                        self.links.push(Joined(data, content))
                    case b"M":
                        self.links.push(data)
                    case b"T":
                        self._take(data)
                    case b"E":
                        self._failure = str(_said(data))
                    case b"D":
                        self._done = True
                    case _:
                        raise FlowerError(f"Flower's process sent what nobody knows: {kind!r}.")
        except EOFError:
            pass
        except (FleetError, FlowerError) as error:
            self._failure = error.message
            self.process.stop()
        except Exception as error:
            # Without this thread the ServerApp would wait for ever.
            log.exception("internal error; please report it")
            self._failure = f"The bridge failed: {type(error).__name__}: {error}"
            self.process.stop()
        finally:
            self.links.close()

    def _take(self, data: Data) -> None:
        """Note which replies the ServerApp took."""
        match _said(data):
            case {"sent": int(sent), "messages": [str(), *_] as names, "in_vain": bool(in_vain)}:
                self._takes.note(sent, names, in_vain)
            case _:
                raise FlowerError("Flower's process does not say which replies it took.")

    def _deliver(self, message_id: str, reply: Data) -> None:
        with self._script.alone():
            self._send(b"I", message_id.encode())
            self._send(b"M", reply)

    def _tell_news(self) -> None:
        """Tell the Grid what has changed about nodes.

        In a thread of its own: a ServerApp that does not read for a while keeps no node waiting.
        """
        while self.links.wait_for_news():
            self._send(b"N", _encoded(self.links.news()))

    def _send(self, kind: bytes, data: Data) -> None:
        try:
            self._script.send(kind, data)
        except EOFError:
            log.debug("the ServerApp has ended")  # so it wants nothing any more


def _encoded(nodes: Sequence[NodeInfo]) -> bytes:
    return json.dumps(list(map(asdict, nodes))).encode()


def _said(data: Data) -> object:
    """Return what the process says in JSON."""
    try:
        return strict_json.loads(in_memory(data))
    except ValueError as error:
        raise FlowerError(
            f"Flower's process sent what cannot be read: {type(error).__name__}."
        ) from error
