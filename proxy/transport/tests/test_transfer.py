"""Objects move many at a time, but few bytes at a time; the first thing that goes wrong ends it."""

import threading
from collections.abc import Callable

import pytest

from proxy.clock import SYSTEM_CLOCK, Deadline
from proxy.errors import Cancelled, FleetError, RunNotRunning, Unreachable
from proxy.testing import FakeClock
from proxy.transport import transfer
from proxy.transport.transfer import MAX_CALLS, WINDOW_BYTES, pull_objects, push_objects

NEVER = Deadline(SYSTEM_CLOCK)
PATIENCE = 20.0


class Objects:
    """Whoever has the objects, and sees how many calls there are at once."""

    def __init__(self, count: int, size: int = 1) -> None:
        self.ids = [f"{number:064x}" for number in range(count)]
        self.kept: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.most_at_once = 0
        self._content = bytes(size)
        self._at_once = 0
        self._lock = threading.Lock()

    def move(self, object_id: str) -> None:
        with self._lock:
            self.calls.append(object_id)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        with self._lock:
            self._at_once -= 1

    def pull(self, object_id: str) -> bytes | None:
        self.move(object_id)
        return self._content

    def push(self, object_id: str, content: bytes) -> None:
        self.move(object_id)
        self.kept[object_id] = content

    def read(self, object_id: str) -> bytes:
        return self._content


def pull(
    objects: Objects,
    how: Callable[[str], bytes | None] | None = None,
    stop: threading.Event | None = None,
    deadline: Deadline = NEVER,
) -> None:
    pull_objects(
        objects.ids,
        how or objects.pull,
        objects.kept.__setitem__,
        stop or threading.Event(),
        deadline,
    )


class Paused(threading.Event):
    """An event that is waited for without time passing; it notes for how long."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.pauses: list[float | None] = []
        self._then = then

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        self._then()
        return self.is_set()


# How many at once


def test_all_objects_are_pulled_each_once() -> None:
    objects = Objects(500)
    pull(objects)
    assert sorted(objects.calls) == objects.ids
    assert objects.kept.keys() == set(objects.ids)


def test_nothing_is_pulled_of_a_message_without_objects() -> None:
    pull(Objects(0))


def test_no_more_objects_are_moved_at_a_time_than_that() -> None:
    objects = Objects(500)
    pull(objects)
    assert objects.most_at_once <= MAX_CALLS


def test_calls_do_not_wait_for_each_other_once_objects_are_known_to_be_small() -> None:
    objects = Objects(500)
    meeting = threading.Barrier(MAX_CALLS)

    def call(object_id: str) -> bytes | None:
        if int(object_id, 16) >= 500 - MAX_CALLS:
            meeting.wait(PATIENCE)
        return objects.pull(object_id)

    pull(objects, call)
    assert len(objects.kept) == 500


@pytest.mark.parametrize(("size", "most"), [(WINDOW_BYTES, 1), (WINDOW_BYTES // 4, 4)])
def test_large_objects_are_moved_few_at_a_time(size: int, most: int) -> None:
    objects = Objects(40, size)
    pull(objects)
    assert objects.most_at_once <= most


# What is not there yet


def test_an_object_that_has_yet_to_come_is_asked_for_until_it_is_there() -> None:
    objects, stop = Objects(3), Paused()
    asks = iter([None, None, None, b"late"])

    def call(object_id: str) -> bytes | None:
        return next(asks) if object_id == objects.ids[1] else objects.pull(object_id)

    pull(objects, call, stop)
    assert objects.kept[objects.ids[1]] == b"late"
    assert stop.pauses == [transfer.UPLOAD_PAUSE_SECONDS] * 2


def test_while_an_object_is_missing_those_behind_it_are_not_asked_for() -> None:
    objects = Objects(200)
    asked_meanwhile: list[int] = []
    stop = Paused(lambda: asked_meanwhile.append(len(objects.calls)))
    left = [20]

    def call(object_id: str) -> bytes | None:
        content = objects.pull(object_id)
        if object_id == objects.ids[100] and left[0]:
            left[0] -= 1
            return None
        return content

    pull(objects, call, stop)
    # Others that were under way finish; afterwards only this one is asked for.
    assert asked_meanwhile[-1] - asked_meanwhile[0] <= len(asked_meanwhile) + MAX_CALLS
    assert asked_meanwhile[-1] < 200


def test_an_object_that_never_comes_is_an_error_at_the_deadline() -> None:
    clock = FakeClock()
    with pytest.raises(FleetError, match="was never uploaded"):
        pull(Objects(5), lambda _: None, deadline=Deadline.after(10.0, clock))
    assert 10.0 < clock.passed < 11.0


def test_a_superlink_out_of_reach_is_asked_again() -> None:
    objects, stop = Objects(50), Paused()
    lost = [3]

    def call(object_id: str) -> bytes | None:
        if lost[0]:
            lost[0] -= 1
            raise Unreachable("nobody answers")
        return objects.pull(object_id)

    pull(objects, call, stop)
    assert len(objects.kept) == 50


def test_a_superlink_that_stays_out_of_reach_is_an_error_at_the_deadline() -> None:
    def call(_: str) -> bytes | None:
        raise Unreachable("nobody answers")

    with pytest.raises(Unreachable):
        pull(Objects(50), call, deadline=Deadline.after(0.0))


# The end


def test_the_first_error_ends_it() -> None:
    objects = Objects(1000)

    def call(object_id: str) -> bytes | None:
        if object_id == objects.ids[10]:
            raise RunNotRunning("the run has ended")
        return objects.pull(object_id)

    with pytest.raises(RunNotRunning):
        pull(objects, call)
    assert len(objects.calls) < 1000


def test_an_object_that_cannot_be_kept_ends_it() -> None:
    objects = Objects(1000)

    def keep(_: str, __: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        pull_objects(objects.ids, objects.pull, keep, threading.Event(), NEVER)


def test_after_an_error_nothing_is_kept_any_more() -> None:
    objects, failed, late = Objects(100), threading.Event(), threading.Event()
    ended: list[threading.Thread] = []
    meeting = threading.Barrier(2)

    def call(object_id: str) -> bytes | None:
        if object_id not in objects.ids[-2:]:
            return b"early"
        meeting.wait(PATIENCE)
        if object_id == objects.ids[-1]:
            raise RunNotRunning("the run has ended")
        ended.append(threading.current_thread())
        failed.wait(PATIENCE)
        late.set()
        return b"late"

    with pytest.raises(RunNotRunning):
        pull(objects, call)
    failed.set()
    assert late.wait(PATIENCE)
    ended[0].join(PATIENCE)
    assert b"late" not in objects.kept.values()


def test_it_can_be_called_off() -> None:
    objects, stop = Objects(1000), threading.Event()

    def call(object_id: str) -> bytes | None:
        if len(objects.calls) > 10:
            stop.set()
        return objects.pull(object_id)

    with pytest.raises(Cancelled):
        pull(objects, call, stop)
    assert len(objects.calls) < 1000


def test_waiting_for_an_object_can_be_called_off() -> None:
    stop = threading.Event()

    def call(_: str) -> bytes | None:
        stop.set()
        return None

    with pytest.raises(Cancelled):
        pull(Objects(5), call, stop)


# Pushing


def test_the_message_is_pushed_when_all_that_it_names_has_arrived() -> None:
    objects = Objects(300)
    push_objects(objects.ids, objects.read, objects.push)
    assert objects.calls[-1] == objects.ids[-1]
    assert sorted(objects.calls) == objects.ids


def test_after_an_error_the_message_is_not_pushed() -> None:
    objects = Objects(300)

    def push(object_id: str, content: bytes) -> None:
        objects.push(object_id, content)
        if object_id == objects.ids[299 - 1]:
            raise Unreachable("nobody answers")

    with pytest.raises(Unreachable):
        push_objects(objects.ids, objects.read, push)
    assert objects.ids[-1] not in objects.calls


def test_nothing_is_pushed_that_is_not_wanted() -> None:
    push_objects([], Objects(0).read, Objects(0).push)
