"""What an operator makes in Kafka for stations on lanes: topics, and who may use them.

Users are called as Kafka's own tools call them: `User:NAME`, where NAME is the station's, and
`central` for the central.
"""

import logging
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from proxy.errors import CarrierError
from proxy.lanes.mailboxes.kafka import topics_of
from proxy.lanes.mailboxes.kafka_client import CALL_SECONDS, KafkaClient

log = logging.getLogger(__name__)

CENTRAL = "User:central"
# What nobody took in a week is of no use: a message lives for a month at most, a run rarely so.
_RETENTION = {"retention.ms": str(7 * 24 * 3600 * 1000), "cleanup.policy": "delete"}
_TOPIC, _GROUP = "topic", "group"


@dataclass(frozen=True)
class Right:
    """What a user may do with a topic, or with a group's committed offsets."""

    user: str
    operation: str
    kind: str
    name: str


def rights_of(prefix: str, station: str) -> Iterator[Right]:
    """Yield what a station and the central need for their lane."""
    to_station, to_central = topics_of(prefix, station)
    for user, reads, writes in (
        (f"User:{station}", to_station, to_central),
        (CENTRAL, to_central, to_station),
    ):
        yield Right(user, "Read", _TOPIC, reads)
        yield Right(user, "Read", _GROUP, reads)
        yield Right(user, "Write", _TOPIC, writes)
        for topic in (reads, writes):  # what is done is removed by either
            yield Right(user, "Delete", _TOPIC, topic)


def commands(client: KafkaClient, stations: Sequence[str]) -> Iterator[str]:
    """Yield the commands that make all of it, with Kafka's own tools."""
    server = ("--bootstrap-server", client.brokers)
    configs = [word for pair in _RETENTION.items() for word in ("--config", "=".join(pair))]
    for station in stations:
        for topic in topics_of(client.name, station):
            create = ("--create", "--topic", topic, "--partitions", "1", *configs)
            yield shlex.join(["kafka-topics.sh", *server, *create])
    for station in stations:
        for right in rights_of(client.name, station):
            add = ("--add", "--allow-principal", right.user, "--operation", right.operation)
            yield shlex.join(["kafka-acls.sh", *server, *add, f"--{right.kind}", right.name])


def make(client: KafkaClient, stations: Sequence[str]) -> Iterator[str]:
    """Make all of it; yields a line for each thing, made or there already.

    Raises
    ------
    CarrierError
        If the broker does not answer, or does not let this user do that.
    UsageError
        If Kafka's client does not take the settings.
    """
    from confluent_kafka import admin  # noqa: PLC0415 - of an extra

    caller = client.made(admin.AdminClient, {}, log)
    kafka = client.kafka
    topics = [topic for station in stations for topic in topics_of(client.name, station)]
    new = [admin.NewTopic(topic, 1, config=dict(_RETENTION)) for topic in topics]
    made = caller.create_topics(new, request_timeout=CALL_SECONDS)
    for topic, future in made.items():
        yield f"topic {topic}: {_done(client, future, kafka.KafkaError.TOPIC_ALREADY_EXISTS)}"
    rights = [right for station in stations for right in rights_of(client.name, station)]
    acls = {_acl(admin, right): right for right in rights}
    given = caller.create_acls(list(acls), request_timeout=CALL_SECONDS)
    for acl, future in given.items():
        right = acls[acl]
        text = f"{right.user} may {right.operation} {right.kind} {right.name}"
        if _done(client, future, kafka.KafkaError.SECURITY_DISABLED) == _THERE:
            yield "this broker lets everybody do everything: it has no ACLs"
            return
        yield text


_MADE, _THERE = "made", "there already"


def _done(client: KafkaClient, future: "Future[object]", fine: int) -> str:
    """Wait for an answer; an error that is `fine` is none."""
    try:
        future.result(2 * CALL_SECONDS)
    except client.kafka.KafkaException as error:
        code, text = error.args[0].code(), error.args[0].str()
        if code == fine:
            return _THERE
        if code < client.kafka.KafkaError.UNKNOWN:  # librdkafka's own: no broker said it
            raise CarrierError(
                f"Kafka at {client.brokers} does not answer: {text}.",
                "See that a broker runs there, and that its settings are those of `properties`.",
            ) from error
        raise CarrierError(
            f"Kafka at {client.brokers} refuses: {text}.",
            "Give the settings of a user who may make topics and ACLs as `properties`.",
        ) from error
    return _MADE


def _acl(admin: Any, right: Right) -> Any:
    kinds = {_TOPIC: admin.ResourceType.TOPIC, _GROUP: admin.ResourceType.GROUP}
    return admin.AclBinding(
        *(kinds[right.kind], right.name, admin.ResourcePatternType.LITERAL),
        *(right.user, "*", admin.AclOperation[right.operation.upper()]),
        admin.AclPermissionType.ALLOW,
    )
