"""Writes the entries of `events.jsonl` to a Kafka topic as things happen: `--events-topic`."""

import logging
import uuid
from typing import Any

from algorithm.monitoring.entries import Entry
from proxy.errors import UsageError
from proxy.lanes.mailboxes.kafka_client import CALL_SECONDS, KafkaClient

log = logging.getLogger(__name__)

_END_SECONDS = 10.0


class EventTopic:
    """A topic, for one writer.

    Nothing waits for a broker. While it is away, entries wait here, for as long as the client's
    settings say (`message.timeout.ms`); what is lost is said once. Entries of one writer have one
    key, so they are in one partition, in their order.

    Parameters
    ----------
    url : str
        `kafka://BROKER,BROKER/TOPIC?properties=FILE`; see `KafkaClient`.

    Raises
    ------
    UsageError
        If the URL is none, the topic cannot be used, or the package is missing.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition(":")
        if scheme != "kafka":
            raise UsageError(
                f"{url!r} is not a topic.", "Write kafka://BROKER:9092/TOPIC?properties=FILE"
            )
        client = KafkaClient.of(rest)
        self._topic = client.name
        self._key = uuid.uuid4().hex
        self._lost = False
        self._kafka = client.kafka
        self._producer = client.made(self._kafka.Producer, {"enable.idempotence": True}, log)
        self._check(client.brokers)

    def write(self, entry: Entry) -> None:
        """Add an entry; returns at once."""
        try:
            self._producer.produce(
                self._topic, entry.text().encode(), self._key, on_delivery=self._delivered
            )
            self._producer.poll(0)
        except (BufferError, self._kafka.KafkaException) as error:
            self._lose(error)

    def close(self) -> None:
        """Wait a while until all that was written is in the topic."""
        if self._producer.flush(_END_SECONDS):
            self._lose("the broker does not answer")

    def _check(self, brokers: str) -> None:
        try:
            metadata = self._producer.list_topics(self._topic, timeout=CALL_SECONDS)
            error = metadata.topics[self._topic].error
        except self._kafka.KafkaException as exception:
            error = exception.args[0]
        if error is not None:
            raise UsageError(
                f"The topic {self._topic} at {brokers} cannot be used: {error.str()}.",
                "Make the topic, and let this user write to it.",
            )

    def _delivered(self, error: Any, _: object) -> None:
        if error is not None:
            self._lose(error)

    def _lose(self, reason: object) -> None:
        if not self._lost:
            log.warning("the topic %s lacks events from here on: %s", self._topic, reason)
        self._lost = True
