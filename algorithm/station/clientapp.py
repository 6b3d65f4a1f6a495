"""A ClientApp at a data station, in a process of Flower's interpreter: no SuperNode."""

import json
import logging
import re
import time
import uuid
from pathlib import Path
from typing import Any

from algorithm.flower.environment import SCRIPTS, Flower
from algorithm.flower.script import Script
from algorithm.station.contexts import Contexts
from algorithm.station.runtime import NoReply
from protos import fleet_pb2 as fleet
from proxy.blocks import Data, Joined, in_memory, part_of, size_of
from proxy.calls import LONGEST_SECONDS
from proxy.client import ClientProxy, Delivery
from proxy.errors import BundleError, FleetError, FlowerError, Incompatible
from proxy.fleet.inline import (
    MAX_WHOLE_BYTES,
    MESSAGES_LIST,
    place_of_message,
    start_of_field,
)
from proxy.fleet.messages import ErrorCode
from proxy.fleet.releases import Layout, names_of
from proxy.system import GRACE_SECONDS, durable

log = logging.getLogger(__name__)

# What only a ServerApp uses of Flower; to import it takes half a second.
_SERVERAPP_ROLES = frozenset({"RemoteGrid", "run_serverapp"})
_SCRIPT = SCRIPTS / "run_clientapp.py"
_LIFE = re.compile("[0-9a-f]{32}")


class ClientApp:
    """Implements `algorithm.station.runtime.Runtime` with one process, and its children.

    It takes the place of a SuperNode towards a ClientProxy. What the ClientApp keeps in its Context
    is in a file, so it outlives the process. A message changes that only if it has its reply.

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
        warm: bool,
    ) -> None:
        self.node_id = node_id
        self._flower = flower
        self._folder = folder
        self._contexts = Contexts(contexts)
        self._log_file = log_file
        self._warm = warm
        # The script's first frame; with its last two entries ClientApps start sooner.
        self._start: dict[str, Any] = {
            "names": {
                role: name
                for role, name in names_of(flower.release).items()
                if role not in _SERVERAPP_ROLES
            },
            "node_id": node_id,
            "node_config": node_config,
            "max_message_bytes": MAX_WHOLE_BYTES,
            "modules": [],
            "environ": {},
        }
        durable.make_folder(contexts)
        # Names the folder with the Contexts: in another one there are none.
        self._life = contexts / "life"
        self._proxy = ClientProxy(node_id, self._read_life() or self._new_life())
        self._script = self._started()
        log.info("started a ClientApp's process with flwr %s as node %d", flower.release, node_id)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._script.process.running

    def serve(self, delivery: Delivery, deadline: float) -> None:
        """Have the ClientApp answer a message; see `Runtime.serve`."""
        if delivery.instruction.layout != Layout.INLINE:
            raise Incompatible("The message came in objects; in direct mode it comes whole.")
        # A socket takes no more than some 292 years.
        until = time.monotonic() + min(deadline, LONGEST_SECONDS)
        self._proxy.offer(delivery, time.monotonic())
        try:
            self._hand_over(delivery, until)
            account, reply = self._reply(until)
            if account["state_lost"]:
                log.warning("the ClientApp's Context was damaged: its state is a new one")
                self._proxy.supernode_life = self._new_life()
            self._collect(account["seconds"], reply)
            if delivery.reply is None:
                raise NoReply(
                    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
                    "The ClientApp returned a message that is no reply to the one it got.",
                )
            self._contexts.accept(self._coming(delivery), delivery.reply_path)
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
            if error is delivery.failure:  # no ClientApp has the message
                raise
            raise NoReply(ErrorCode.REPLY_MESSAGE_UNAVAILABLE, str(error)) from error
        finally:
            self._proxy.withdraw()
        if self._warm:
            self._prepare_next(account)

    def stop(self) -> None:
        """End it with all its descendants."""
        self._script.stop()

    def _started(self) -> Script:
        script = Script(self._flower, _SCRIPT, self._folder / "flwr", self._log_file)
        script.send(b"S", json.dumps(self._start).encode())
        return script

    def _hand_over(self, delivery: Delivery, until: float) -> None:
        """Give the message to the process."""
        fab, run_id = delivery.app, delivery.instruction.metadata.run_id
        # What the policy has checked, encoded: nobody looks for it in the SuperLink's answer again.
        run = delivery.run.SerializeToString()
        # As a SuperNode does for a message that is whole; with the last call it is the ClientApp's.
        self._proxy.pull_messages(time.monotonic())
        request = fleet.GetFabRequest(run_id=run_id, hash_str=fab.hash_str).SerializeToString()
        self._proxy.handle("GetFab", request, time.monotonic())
        current, coming = self._contexts.current(run_id), self._coming(delivery)
        task = {"context": str(current), "coming": str(coming)}
        self._script.send(b"T", json.dumps(task).encode(), until)
        self._script.send(b"F", fab.content, until)
        self._script.send(b"R", bytes(run), until)
        pulled = delivery.instruction.data
        place = place_of_message(pulled)
        self._script.send(b"M", part_of(pulled, place.start, place.size), until)

    def _reply(self, until: float) -> tuple[dict[str, Any], Data]:
        """Return the process's account of the message, and the reply."""
        _, account_data = self._script.receive(until)
        _, reply = self._script.receive(until)
        account: dict[str, Any] = json.loads(in_memory(account_data))
        return account, reply

    def _collect(self, seconds: float, reply: Data) -> None:
        """Put the reply into its bundle."""
        head = fleet.PushMessagesRequest(
            node=fleet.Node(node_id=self.node_id), clientapp_runtime_list=[seconds]
        ).SerializeToString()
        start = start_of_field(MESSAGES_LIST, size_of(reply))
        self._proxy.push_messages(Joined(head, start, reply), time.monotonic())

    def _coming(self, delivery: Delivery) -> Path:
        """Return the place of the Context that the reply comes with."""
        instruction = delivery.instruction
        return self._contexts.coming(instruction.metadata.run_id, instruction.message_id)

    def _read_life(self) -> str:
        """Return the name of the Contexts' folder; empty if it has none."""
        try:
            name = self._life.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return name if _LIFE.fullmatch(name) else ""

    def _new_life(self) -> str:
        """Name the Contexts' folder anew: the central sees from it that state was lost."""
        name = uuid.uuid4().hex
        durable.write(self._life, name.encode())
        return name

    def _prepare_next(self, account: dict[str, Any]) -> None:
        """Let the next ClientApp start sooner."""
        self._start["modules"] += account["modules"]
        self._start["environ"] |= account["environ"]
        if not account["again"]:
            log.info("a library left threads running: the next message gets a new process")
            self._script.stop()
            self._script = self._started()
        elif account["modules"]:
            imports = {"modules": account["modules"], "environ": self._start["environ"]}
            try:
                self._script.send(b"P", json.dumps(imports).encode())
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
