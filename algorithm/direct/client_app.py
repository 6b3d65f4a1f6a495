"""A ClientApp at a data station, in a process of Flower's interpreter: no SuperNode."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from algorithm.direct.script import Script
from algorithm.flower import Flower
from algorithm.runtime import NoReply
from protos import fleet_pb2 as fleet
from proxy.client import ClientProxy, Delivery
from proxy.errors import BundleError, FleetError, FlowerError
from proxy.fleet import wire
from proxy.fleet.messages import ErrorCode, parse
from proxy.fleet.releases import names_of
from proxy.process import GRACE_SECONDS

log = logging.getLogger(__name__)

_SCRIPT = Path(__file__).with_name("run_clientapp.py")
# The numbers of `GetRunResponse.run` and `PushMessagesRequest.messages_list`.
_RUN, _MESSAGES_LIST = 1, 2


class ClientApp:
    """Implements `algorithm.runtime.Runtime` with one process, and its children.

    It takes the place of a SuperNode towards a ClientProxy. What the ClientApp keeps in its Context
    is in a file, so it outlives the process.

    Parameters
    ----------
    flower : Flower
        The environment that it is started from.
    node_id : int
        The id of its node.
    node_config : str
        As a SuperNode's `--node-config`.
    folder : Path
        Where its Flower home is made.
    contexts : Path
        The folder for Contexts; made if it is missing.
    log_file : Path
        Where its output is appended.
    life : str
        Names the folder with the Contexts: in another one there are none.
    warm : bool
        Whether it is to answer more than one message.
    """

    def __init__(
        self,
        flower: Flower,
        node_id: int,
        node_config: str,
        folder: Path,
        contexts: Path,
        log_file: Path,
        life: str,
        warm: bool,
    ) -> None:
        self.node_id = node_id
        self._flower = flower
        self._folder = folder
        self._contexts = contexts
        self._log_file = log_file
        self._warm = warm
        self._proxy = ClientProxy(node_id, life)
        # What the script starts with; the last two are what makes ClientApps start soon.
        self._start: dict[str, Any] = {
            "names": names_of(flower.release),
            "node_id": node_id,
            "node_config": node_config,
            "modules": [],
            "environ": {},
        }
        contexts.mkdir(exist_ok=True)
        self._script = self._started()
        log.info("started a ClientApp's process with flwr %s as node %d", flower.release, node_id)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._script.process.running

    def serve(self, delivery: Delivery, deadline: float) -> None:
        """Have the ClientApp answer a message; see `Runtime.serve`."""
        until = time.monotonic() + deadline
        self._proxy.offer(delivery, time.monotonic())
        try:
            self._hand_over(delivery, until)
            seen, reply = self._reply(until)
            self._collect(seen["seconds"], reply)
        except TimeoutError as error:
            raise NoReply(
                ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
                f"The ClientApp did not reply within the deadline of {deadline:.1f} s.",
            ) from error
        except EOFError as error:
            raise self._ended() from error
        except (BundleError, FleetError, FlowerError) as error:
            raise NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, error.message) from error
        except OSError as error:
            raise NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, str(error)) from error
        finally:
            self._proxy.withdraw()
        if self._warm:
            self._prepare_next(seen)

    def stop(self) -> None:
        """End it with all its descendants."""
        self._script.stop()

    def _started(self) -> Script:
        script = Script(self._flower, _SCRIPT, self._folder / "flwr", self._log_file)
        script.send(b"S", json.dumps(self._start).encode())
        return script

    def _hand_over(self, delivery: Delivery, until: float) -> None:
        """Give the message to the process."""
        fab = parse(fleet.GetFabResponse, delivery.fab).fab
        run_id = delivery.instruction.metadata.run_id
        path = self._folder / f"{fab.hash_str}.fab"
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(fab.content)
            part.replace(path)
        run = wire.first(delivery.bundle.header.instruction.get_run_response, _RUN)
        # As a SuperNode does for a message that is whole; with the last call it is the ClientApp's.
        self._proxy.handle("PullMessages", b"", time.monotonic())
        request = fleet.GetFabRequest(run_id=run_id, hash_str=fab.hash_str).SerializeToString()
        self._proxy.handle("GetFab", request, time.monotonic())
        task = {"fab": str(path), "context": str(self._contexts / str(run_id))}
        self._script.send(b"T", json.dumps(task).encode(), until)
        self._script.send(b"R", run, until)
        self._script.send(b"M", delivery.instruction.encoded, until)

    def _reply(self, until: float) -> tuple[dict[str, Any], bytes]:
        """Return what the process says of the message, and the reply."""
        _, seen = self._script.receive(until)
        _, reply = self._script.receive(until)
        found: dict[str, Any] = json.loads(seen)
        return found, reply

    def _collect(self, seconds: float, reply: bytes) -> None:
        """Put the reply into its bundle."""
        announcement = fleet.PushMessagesRequest(
            node=fleet.Node(node_id=self.node_id), clientapp_runtime_list=[seconds]
        ).SerializeToString() + wire.field(_MESSAGES_LIST, reply)
        self._proxy.handle("PushMessages", announcement, time.monotonic())

    def _prepare_next(self, seen: dict[str, Any]) -> None:
        """Let the next ClientApp start sooner."""
        self._start["modules"] += seen["modules"]
        self._start["environ"] |= seen["environ"]
        if not seen["again"]:
            log.info("a library left threads running: the next message gets a new process")
            self._script.stop()
            self._script = self._started()
        elif seen["modules"]:
            what = {"modules": seen["modules"], "environ": self._start["environ"]}
            try:
                self._script.send(b"P", json.dumps(what).encode())
            except EOFError:
                log.warning("the ClientApp's process ended after its reply")

    def _ended(self) -> NoReply:
        # The pipe closes a little before the process ends.
        self._script.process.wait(GRACE_SECONDS)
        self._script.process.stop()
        # Its log may tell of the data: it stays where it is.
        log.error("the ClientApp's process ended without a reply; its log is %s", self._log_file)
        return NoReply(
            ErrorCode.CLIENT_APP_CRASHED,
            f"The ClientApp ended with exit code {self._script.process.exit_code} and without a"
            f" reply. The station's {self._log_file.name} says why.",
        )
