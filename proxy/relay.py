"""One message's way: from the SuperLink to a station and its reply back to the SuperLink.

Delivery is at most once to train, exactly once to answer. A message that was pulled gets exactly
one reply: the ClientApp's, or an error reply that says why there is none. Its bytes are fixed
before the first attempt to push it. Only when its run has ended nobody is owed a reply.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.bundle import Bundle, BundleWriter
from proxy.carriers import Carrier, Exchange
from proxy.errors import (
    BundleError,
    Cancelled,
    CarrierError,
    FleetError,
    RunNotRunning,
    UnknownNode,
)
from proxy.fleet.link import Link
from proxy.fleet.messages import ErrorCode, Instruction, Reply, error_reply, object_id, parse
from proxy.fleet.metrics import metrics_in, metrics_of
from proxy.fleet.releases import Layout
from proxy.report import MessageRecord
from proxy.retry import Answer, retrying
from proxy.text import block

log = logging.getLogger(__name__)

# Between asks for an object that the ServerApp has yet to upload.
_UPLOAD_PAUSE_SECONDS = 0.2
# The station's own deadline comes this much before the central's: it knows better what went wrong.
_GRACE_SECONDS = 10.0
# Enough for the runs that go on at once; the app of an older one is fetched again.
_MAX_FABS = 8


@dataclass(frozen=True)
class Fab:
    """A SuperLink's whole answer to GetFab, as an object that a station may keep."""

    object_id: str
    response: bytes


class Fabs:
    """The apps of the runs, fetched once for all stations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fabs: dict[tuple[int, str], Fab] = {}

    def of(self, run_id: int, fab_hash: str, fetch: Callable[[], bytes]) -> Fab:
        """Return a run's app."""
        with self._lock:
            if (run_id, fab_hash) not in self._fabs:
                response = fetch()
                self._fabs[run_id, fab_hash] = Fab(object_id(response), response)
                if len(self._fabs) > _MAX_FABS:
                    del self._fabs[next(iter(self._fabs))]
            return self._fabs[run_id, fab_hash]


class StationFailure(CarrierError):
    """A station's own word that there will be no reply."""

    def __init__(self, failure: bundle_pb2.Failure) -> None:
        super().__init__(failure.reason)
        self.error_code = failure.code


class Relay:
    """Takes messages to one station, one after the other.

    Parameters
    ----------
    station : str
        The carrier's name for the station.
    superlink : Link
        The connection of the station's virtual SuperNode.
    carrier : Carrier
        Reaches the station.
    folder : Path
        An empty folder for bundles on their way.
    deadline : float
        Seconds that the station may take for a message; the message's time to live may be less.
    fabs : Fabs
        Shared by all stations.
    stop : threading.Event
        Calls off whatever is under way.
    clock : Callable[[], float]
        Tells the time, in seconds since the epoch, that messages' times to live are held against.
    """

    def __init__(
        self,
        station: str,
        superlink: Link,
        carrier: Carrier,
        folder: Path,
        deadline: float,
        fabs: Fabs,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._station = station
        self._superlink = superlink
        self._carrier = carrier
        self._folder = folder
        self._deadline = deadline
        self._fabs = fabs
        self._stop = stop
        self._clock = clock
        # What the station holds: the name of its cache, and the objects known to be in it.
        self._generation = ""
        self._held: set[str] = set()
        self._supernode_life = ""

    def serve(self, instruction: Instruction, record: MessageRecord) -> None:
        """Get one message answered; `record` is filled in on the way.

        Raises
        ------
        RunNotRunning, UnknownNode
            If the SuperLink wants no reply any more.
        Cancelled
            If `stop` was set.
        FleetError
            If the SuperLink refused the reply, or was out of reach until the message expired.
        """
        left = instruction.expires_at - self._clock()
        grace = min(_GRACE_SECONDS, left / 10)
        limit = min(self._deadline, left - 2 * grace)
        errand = _Errand(instruction, record, limit, time.monotonic() + limit, grace)
        with self._emptied_folder(), self._answer_to(errand) as (reply, read):
            if reply.error is not None:
                record.error_code, record.error = reply.error.code, block(reply.error.reason, 12)
            record.clientapp_runtime = reply.clientapp_runtime
            with record.measured("store"):
                retrying(
                    lambda: self._push(instruction, reply, read),
                    self._stop,
                    until=time.monotonic() + instruction.expires_at - self._clock(),
                )

    @contextmanager
    def _answer_to(self, errand: "_Errand") -> Iterator[tuple[Reply, Callable[[str], bytes]]]:
        """Yield the one reply to a message, and how to read its objects."""
        try:
            bundle = self._obtain(errand)
            reply = _reply_in(bundle, errand)
        except (RunNotRunning, UnknownNode, Cancelled):
            raise
        except StationFailure as error:
            yield self._error_reply(errand, error.error_code, error.message)
        except (CarrierError, OSError) as error:
            yield self._error_reply(errand, ErrorCode.NODE_UNAVAILABLE, str(error))
        except BundleError as error:
            yield self._error_reply(errand, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, error.message)
        except FleetError as error:
            yield self._error_reply(errand, ErrorCode.MESSAGE_UNAVAILABLE, error.message)
        else:
            with bundle:
                self._notice_lost_state(bundle.header.reply.supernode_life, errand.record)
                errand.record.metrics = (
                    metrics_of(reply.object_ids, bundle.read)
                    if reply.object_ids
                    else metrics_in(reply.encoded)
                )
                yield reply, bundle.read

    def _notice_lost_state(self, life: str, record: MessageRecord) -> None:
        if self._supernode_life not in ("", life):
            record.state_lost = True
            log.warning(
                "station %s: its SuperNode was replaced; the ClientApp's state is lost",
                self._station,
            )
        self._supernode_life = life

    def _error_reply(
        self, errand: "_Errand", code: int, reason: str
    ) -> tuple[Reply, Callable[[str], bytes]]:
        reply, contents = error_reply(errand.instruction, code, reason, self._clock())
        return reply, contents.__getitem__

    def _obtain(self, errand: "_Errand") -> Bundle:
        """Have the station answer a message with a bundle."""
        metadata = errand.instruction.metadata
        path = self._folder / "instruction.bundle"
        with errand.record.measured("drain"):
            fab = self._drain(errand, path)
            # Of a message that came whole the SuperLink keeps nothing.
            if errand.instruction.object_ids:
                self._ask(
                    errand,
                    lambda: self._superlink.confirm_message_received(
                        metadata.run_id, metadata.message_id
                    ),
                )
        answer = self._carry(errand, path)
        if answer.header.WhichOneof("content") == "missing_objects":
            # Nothing was started there: the station's cache is a new one. Send in full.
            answer.close()
            log.info("station %s does not have the app (FAB): sending it", self._station)
            self._held.clear()
            with Bundle(path) as instruction:
                path = self._folder / "full-instruction.bundle"
                with BundleWriter(path, instruction.header) as writer:
                    for each in instruction.object_ids:
                        writer.add(each, instruction.read(each))
                    errand.record.fab_bytes = writer.add(fab.object_id, fab.response)
                    writer.close()
            answer = self._carry(errand, path)
        if errand.record.fab_bytes and self._generation:
            self._held.add(fab.object_id)
        return answer

    def _drain(self, errand: "_Errand", path: Path) -> Fab:
        """Fetch all that belongs to a message into an instruction bundle."""
        metadata, record = errand.instruction.metadata, errand.record
        pulled = errand.instruction.encoded
        run = self._ask(errand, lambda: self._superlink.get_run(metadata.run_id))
        fab_hash = parse(fleet.GetRunResponse, run).run.fab_hash
        fab = self._fabs.of(
            metadata.run_id,
            fab_hash,
            lambda: self._ask(errand, lambda: self._superlink.get_fab(metadata.run_id, fab_hash)),
        )
        header = bundle_pb2.Header(
            message_id=metadata.message_id,
            cache_generation=self._generation,
            instruction=bundle_pb2.Instruction(
                pull_messages_object_id=object_id(pulled),
                get_run_response=run,
                fab_object_id=fab.object_id,
                node_id=metadata.dst_node_id,
                deadline_seconds=errand.limit,
                whole=errand.instruction.layout == Layout.INLINE,
            ),
        )
        with BundleWriter(path, header) as writer:
            writer.add(header.instruction.pull_messages_object_id, pulled)
            for each in errand.instruction.object_ids:
                writer.add(each, self._pull_object(errand, each))
            record.object_bytes_out = writer.object_bytes
            if fab.object_id not in self._held:
                record.fab_bytes = writer.add(fab.object_id, fab.response)
            writer.close()
        return fab

    def _pull_object(self, errand: "_Errand", wanted: str) -> bytes:
        run_id = errand.instruction.metadata.run_id
        while True:
            content = self._ask(errand, lambda: self._superlink.pull_object(run_id, wanted))
            if content is not None:
                return content
            if time.monotonic() > errand.ends_at:
                raise FleetError(f"Object {wanted} was never uploaded to the SuperLink.")
            if self._stop.wait(_UPLOAD_PAUSE_SECONDS):
                raise Cancelled("Stopped while a message was incomplete at the SuperLink.")

    def _carry(self, errand: "_Errand", instruction: Path) -> Bundle:
        """Exchange bundles with the station; returns its answer."""
        record, path = errand.record, self._folder / "reply.bundle"
        record.bytes_out += instruction.stat().st_size
        with record.measured("carry"):
            exchange = Exchange(
                errand.instruction.message_id,
                record.title,
                instruction,
                path,
                errand.limit + errand.grace,
                self._stop,
            )
            self._carrier.exchange(self._station, exchange)
            answer = Bundle(path)
        record.bytes_back += path.stat().st_size
        for stage, seconds in answer.seconds.items():
            record.seconds[stage] = seconds
            record.seconds["carry"] -= seconds
        if answer.header.cache_generation != self._generation:
            self._generation = answer.header.cache_generation
            self._held.clear()
        return answer

    def _push(self, instruction: Instruction, reply: Reply, read: Callable[[str], bytes]) -> None:
        """Store a reply and the objects that the SuperLink lacks of it."""
        wanted, session_id = self._superlink.push_messages(reply, instruction.layout)
        for each in reply.object_ids:
            if each in wanted:
                self._superlink.push_object(reply.metadata.run_id, session_id, each, read(each))

    def _ask(self, errand: "_Errand", call: Callable[[], Answer]) -> Answer:
        return retrying(call, self._stop, until=errand.ends_at)

    @contextmanager
    def _emptied_folder(self) -> Iterator[None]:
        try:
            yield
        finally:
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Errand:
    """A message, its record, and its deadline."""

    instruction: Instruction
    record: MessageRecord
    limit: float
    ends_at: float
    grace: float


def _reply_in(bundle: Bundle, errand: _Errand) -> Reply:
    """Return the reply in a station's answer, if it is one to this message.

    Raises
    ------
    StationFailure
        If the station says that there will be none.
    BundleError
        If the answer does not fit the message.
    """
    header, metadata = bundle.header, errand.instruction.metadata
    if header.message_id != metadata.message_id:
        raise BundleError(f"The station answered another message: message {header.message_id}.")
    match header.WhichOneof("content"):
        case "failure":
            raise StationFailure(header.failure)
        case "reply":
            try:
                reply = Reply.decode(bundle.read(header.reply.push_messages_object_id))
            except KeyError:
                raise BundleError("The station's answer lacks the reply that it names.") from None
            except FleetError as error:
                raise BundleError(error.message) from error
        case other:
            raise BundleError(f"The station answered with {other or 'nothing'}.")
    for what, said, meant in (
        ("message", reply.metadata.reply_to_message_id, metadata.message_id),
        ("run", reply.metadata.run_id, metadata.run_id),
        ("node", reply.metadata.src_node_id, metadata.dst_node_id),
    ):
        if said != meant:
            raise BundleError(f"The station's reply names {what} {said} instead of {meant}.")
    if missing := [i for i in reply.object_ids if i not in bundle.object_ids]:
        raise BundleError(f"The station's reply lacks {len(missing)} of its objects.")
    errand.record.object_bytes_back = bundle.object_bytes
    return reply
