"""A mailbox in Kafka: two topics per station, of one partition, made beforehand by the operator.

    PREFIX.STATION.to-station   letters of the central
    PREFIX.STATION.to-central   letters of the station

A letter is one or more records, of the size that a topic takes. Each begins with the letter's name
(16 bytes), the record's number and how many there are (u32 each). One end writes to a topic, one
letter after the other, so a letter whose records do not follow each other was given up, and comes
again as another one. There is no consumer group: the partition is assigned, and committed offsets
say what is done. So a reader that was killed is back at once.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any, BinaryIO

from proxy.clock import SYSTEM_CLOCK, Clock
from proxy.errors import UsageError
from proxy.lanes.mailboxes.kafka_client import CALL_SECONDS, KafkaClient
from proxy.lanes.mailboxes.mailbox import MailboxUnreachable, Room

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, Producer
    from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

_HEAD = Struct(">16sII")
# Brokers take records of 1 MB (`message.max.bytes`, in Kafka 4: 1,048,588), frame and all.
_RECORD_BYTES, _FRAME_BYTES = 1_000_000, 4_096
# What a client keeps of records on their way: models do not have to fit into memory.
_BUFFER_KILOBYTES = 16 << 10
# A letter is given up when none of its records arrived for so long: a link may be slow.
_SILENCE_SECONDS = 60.0
# The client gives nothing up before: a record waits for those that it queued before, and a request
# for those that are under way.
_DELIVERY_SECONDS, _REQUEST_SECONDS = 3600.0, 300.0
_LOOK_SECONDS = 1.0


def topics_of(prefix: str, station: str) -> tuple[str, str]:
    """Return a station's topics: to it, and to the central."""
    return f"{prefix}.{station}.to-station", f"{prefix}.{station}.to-central"


class KafkaMailbox:
    """Implements `proxy.lanes.mailboxes.mailbox.Mailbox` with records.

    Parameters
    ----------
    url : str
        What follows `kafka:` in `kafka://BROKER,BROKER/PREFIX?properties=FILE`. The file has
        settings of librdkafka, as `security.protocol=SASL_SSL`, one a line.
    station : str
        The station at the lane's end.
    at_station : bool
        Whether this is the station's side.
    clock : Clock
        Tells how long no record arrived.

    Raises
    ------
    UsageError
        If the URL is none, the file cannot be read, or the package is missing.
    """

    def __init__(
        self, url: str, station: str, at_station: bool, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._clock = clock
        self._client = KafkaClient.of(url)
        self._kafka = self._client.kafka
        to_station, to_central = topics_of(self._client.name, station)
        topics = (to_central, to_station) if at_station else (to_station, to_central)
        self._outgoing, self._incoming = topics
        limit = int(self._client.settings.get("message.max.bytes", _RECORD_BYTES))
        self._record_bytes, self._chunk_bytes = limit, max(1024, limit - _FRAME_BYTES)
        self._sending, self._reading = threading.Lock(), threading.Lock()
        self._producer: Producer | None = None
        self._consumer: Consumer | None = None
        self._partial: _Partial | None = None
        self._undone: set[int] = set()
        self._room = Room(at_station)
        self._postponed: list[int] = []  # the sizes of letters that wait for room
        self._next = 0
        self._admin: AdminClient | None = None
        self._deleted: Future[object] | None = None
        self._deletes = True

    def send(self, letter: Path) -> None:
        """Leave a letter; see `Mailbox.send`."""
        name, size = uuid.uuid4().bytes, letter.stat().st_size
        count = max(1, -(-size // self._chunk_bytes))
        with self._sending, letter.open("rb") as file:
            producer, progress = self._produces(), _Progress(self._clock)
            try:
                for number in range(count):
                    record = _HEAD.pack(name, number, count) + file.read(self._chunk_bytes)
                    self._produce(producer, record, progress)
                while producer.flush(_LOOK_SECONDS):
                    self._check(progress)
                self._check(progress)
            except BaseException:
                # What it still has must not come after another letter.
                producer.purge()
                self._producer = None
                raise

    def _produce(self, producer: "Producer", record: bytes, progress: "_Progress") -> None:
        while True:
            self._check(progress)
            try:
                producer.produce(
                    self._outgoing, record, partition=0, on_delivery=progress.delivered
                )
            except BufferError:
                producer.poll(_LOOK_SECONDS)
            except self._kafka.KafkaException as error:
                raise self._unreachable(error.args[0].str()) from error
            else:
                producer.poll(0)
                return

    def _check(self, progress: "_Progress") -> None:
        if reason := progress.failed:
            raise self._unreachable(reason)

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for the next letter; see `Mailbox.receive`."""
        part = into.with_name(f"{into.name}.part")
        with self._reading:
            consumer = self._consumes()
        while (record := consumer.poll(seconds)) is not None:
            if error := record.error():
                raise self._unreachable(error.str())
            try:
                if first := self._gather(record, part):
                    Room.move(part, into)
                    return first
            except OSError:
                self.close()  # to have the letter from its beginning again
                raise
        if self._partial is not None:
            if self._clock.monotonic() - self._partial.at > 2 * _SILENCE_SECONDS:
                self._give_up_partial()  # so did its sender
        elif self._postponed and self._room.is_there(part, min(self._postponed)):
            self.close()  # to have them again
            Room.let_go(part)
        return None

    def _gather(self, record: "Message", part: Path) -> str | None:
        """Add a record to the letter that it is of; returns the letter's name if it is whole."""
        value, offset = record.value() or b"", record.offset() or 0
        with self._reading:
            self._next = offset + 1
            if len(value) < _HEAD.size:
                return None
            name, number, count = _HEAD.unpack_from(value)
            if number == 0:
                self._give_up_partial()  # what does not fit is passed over, record by record
                size = count * len(value)
                if not self._room.is_there(part, size):
                    self._postponed.append(size)
                    self._undone.add(offset)
                    return None
                now = self._clock.monotonic()
                self._partial = _Partial(name, offset, part, part.open("wb"), now)
            partial = self._partial
            if partial is None or partial.name != name or partial.number != number:
                return None
            partial.file.write(memoryview(value)[_HEAD.size :])
            partial.number += 1
            partial.at = self._clock.monotonic()
            if partial.number < count:
                return None
            partial.file.close()
            self._partial = None
            self._undone.add(partial.first)
            return str(partial.first)

    def done(self, name: str) -> None:
        """Never hand out a letter again; see `Mailbox.done`."""
        with self._reading:
            self._undone.discard(int(name))
            begun = [self._partial.first] if self._partial is not None else []
            offset = min([*self._undone, *begun, self._next])
            place = self._kafka.TopicPartition(self._incoming, 0, offset)
            try:
                self._consumes().commit(offsets=[place], asynchronous=False)
            except self._kafka.KafkaException as error:
                raise self._unreachable(error.args[0].str()) from error
        self._delete(place)

    def postpone(self, name: str) -> None:  # noqa: ARG002 - all that are not done come again
        """Hand out a letter again; see `Mailbox.postpone`."""
        self._postponed.append(0)

    def wipe(self) -> None:
        """Remove what was sent from here; see `Mailbox.wipe`."""
        place = self._kafka.TopicPartition(self._outgoing, 0, self._kafka.OFFSET_END)
        # Not later: what is sent next must stay.
        if deleted := self._delete(place):
            wait([deleted], CALL_SECONDS)

    def check(self) -> None:
        """Find out whether it can be used; see `Mailbox.check`."""
        with self._reading:
            consumer = self._consumes()
        for topic in (self._outgoing, self._incoming):
            try:
                metadata = consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic]
            except self._kafka.KafkaException as error:
                raise self._unreachable(error.args[0].str()) from error
            if metadata.error is not None:
                raise self._unreachable(f"topic {topic}: {metadata.error.str()}")
            if len(metadata.partitions) != 1:
                raise UsageError(
                    f"The topic {topic} has {len(metadata.partitions)} partitions.",
                    "Letters need one, to stay in order.",
                )

    def close(self) -> None:
        """Let go of connections."""
        with self._reading:
            if self._consumer is not None:
                self._consumer.close()
            self._consumer = None
            self._give_up_partial()

    def _give_up_partial(self) -> None:
        """Give up a letter that is not whole, and its room."""
        if self._partial is not None:
            with suppress(OSError):  # of a full disk
                self._partial.file.close()
            self._partial.path.unlink(missing_ok=True)
            Room.let_go(self._partial.path)
        self._partial = None

    def _delete(self, place: Any) -> "Future[object] | None":
        """Delete the records before a place, where that is allowed; else retention does."""
        # Not in a callback: that would be in librdkafka's own thread, which may not let go of it.
        self._heed_deletion()
        if not self._deletes:
            return None
        with self._sending:
            if self._admin is None:
                from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - of an extra

                self._admin = self._made(AdminClient, {})
        (self._deleted,) = self._admin.delete_records([place]).values()
        return self._deleted

    def _heed_deletion(self) -> None:
        deleted = self._deleted
        if deleted is None or not deleted.done() or deleted.exception() is None:
            return
        error = deleted.exception()
        if self._deletes and isinstance(error, self._kafka.KafkaException):
            # What is not allowed will not be later; whatever else it is, the next one may succeed.
            self._deletes = error.args[0].code() not in _forbidden(self._kafka.KafkaError)
            log.info("records were not deleted (%s); the topic's retention does", error)

    def _produces(self) -> "Producer":
        if self._producer is None:
            self._producer = self._made(
                self._kafka.Producer,
                {
                    "message.max.bytes": self._record_bytes,
                    "enable.idempotence": True,
                    "linger.ms": 0,
                    "queue.buffering.max.kbytes": _BUFFER_KILOBYTES,
                    "delivery.timeout.ms": int(_DELIVERY_SECONDS * 1000),
                    "socket.timeout.ms": int(_REQUEST_SECONDS * 1000),
                },
            )
        return self._producer

    def _consumes(self) -> "Consumer":
        if self._consumer is None:
            consumer = self._made(
                self._kafka.Consumer,
                {
                    # It names the committed offsets; there is no group.
                    "group.id": self._incoming,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "queued.max.messages.kbytes": _BUFFER_KILOBYTES,
                },
            )
            place = self._kafka.TopicPartition(self._incoming, 0)
            try:
                (place,) = consumer.committed([place], timeout=CALL_SECONDS)
            except self._kafka.KafkaException as error:
                consumer.close()
                raise self._unreachable(error.args[0].str()) from error
            self._next = max(0, place.offset)
            if place.offset < 0:
                place.offset = self._kafka.OFFSET_BEGINNING
            consumer.assign([place])
            self._consumer = consumer
            self._undone.clear()
            self._postponed.clear()
        return self._consumer

    def _made(self, kind: Callable[[dict[str, Any]], Any], own: Mapping[str, Any]) -> Any:
        return self._client.made(kind, own, log)

    def _unreachable(self, reason: str) -> MailboxUnreachable:
        return MailboxUnreachable(f"Kafka at {self._client.brokers} cannot be used: {reason}.")


class _Progress:
    """What became of a letter's records at the broker, as the client says it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._error = ""
        self._at = clock.monotonic()

    def delivered(self, error: object, _: object) -> None:
        """Note that a record arrived, or why it did not."""
        self._at = self._clock.monotonic()
        if error is not None:
            self._error = str(error)

    @property
    def failed(self) -> str:
        """Why the letter is given up; empty as long as it is not."""
        if not self._error and self._clock.monotonic() - self._at > _SILENCE_SECONDS:
            return "it did not answer in time"
        return self._error


@dataclass
class _Partial:
    """A letter of which not all records came yet."""

    name: bytes
    first: int
    path: Path
    file: BinaryIO
    at: float  # when its last record came
    number: int = 0


def _forbidden(error: Any) -> tuple[int, ...]:
    return (
        error.TOPIC_AUTHORIZATION_FAILED,
        error.CLUSTER_AUTHORIZATION_FAILED,
        error.POLICY_VIOLATION,
        error.UNSUPPORTED_VERSION,
        error._UNSUPPORTED_FEATURE,
    )
