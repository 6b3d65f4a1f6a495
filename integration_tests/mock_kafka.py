"""librdkafka's own cluster for tests, whose brokers fail as they are told; no process of its own.

confluent-kafka has no calls for it, so it is called in the library that the package brings:
`rdkafka_mock.h` of librdkafka.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

_PRODUCER = 0  # rd_kafka_type_t
# Requests and errors as Kafka's protocol numbers them.
PRODUCE, FETCH, OFFSET_COMMIT, OFFSET_FETCH = 0, 1, 8, 9
NOT_LEADER, TIMED_OUT, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS, NOT_AUTHORIZED = 6, 7, 16, 19, 29


class MockCluster:
    """Some brokers; made by `mock_cluster`."""

    def __init__(self, library: Any, cluster: int) -> None:
        self._library = library
        self._cluster = ctypes.c_void_p(cluster)
        bootstraps = library.rd_kafka_mock_cluster_bootstraps
        bootstraps.restype = ctypes.c_char_p
        self.brokers = bootstraps(self._cluster).decode()

    def make_topic(self, name: str) -> None:
        """Make a topic of one partition."""
        self._call("topic_create", name.encode(), 1, 1)

    def lead(self, topic: str, broker: int) -> None:
        """Let a broker, by its number from 1, lead a topic's partition."""
        self._call("partition_set_leader", topic.encode(), 0, ctypes.c_int32(broker))

    def down(self, broker: int) -> None:
        """Let a broker answer nobody."""
        self._call("broker_set_down", ctypes.c_int32(broker))

    def up(self, broker: int) -> None:
        """Let a broker answer again."""
        self._call("broker_set_up", ctypes.c_int32(broker))

    def fail(self, request: int, errors: Sequence[int]) -> None:
        """Answer the next requests of a kind with errors."""
        numbers = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), numbers
        )

    def _call(self, name: str, *arguments: Any) -> None:
        error = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)
        assert error == 0, f"{name}: {error}"


@contextmanager
def mock_cluster(brokers: int) -> Iterator[MockCluster]:
    """A cluster until the end."""
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    found = list(folder.glob("librdkafka*"))
    if not found:
        pytest.skip("this confluent-kafka brings no librdkafka of its own")
    library = ctypes.CDLL(str(found[0]))
    for name in ("conf_new", "new", "mock_cluster_new"):
        getattr(library, f"rd_kafka_{name}").restype = ctypes.c_void_p
    reason = ctypes.create_string_buffer(512)
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    handle = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, settings, reason, len(reason)))
    assert handle, reason.value
    cluster = library.rd_kafka_mock_cluster_new(handle, brokers)
    try:
        yield MockCluster(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(ctypes.c_void_p(cluster))
        library.rd_kafka_destroy(handle)
