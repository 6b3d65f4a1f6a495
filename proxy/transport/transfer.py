"""Moving the objects of one message: many calls at a time, few bytes at a time.

A message of small arrays is two objects for each array, and each object is a call. One after the
other, each waits for the one before: a round trip, and the SuperLink's own milliseconds. So several
are under way at once, as many as fit into a window of bytes, on connections of their own.

An object that the ServerApp has yet to upload, or a SuperLink that is out of reach, holds up all
calls: one asks again, every now and then, until it is answered. Those that come behind it are not
there either, and to ask for them would keep the SuperLink from taking them.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from proxy.clock import Deadline
from proxy.errors import Cancelled, FleetError, Unreachable
from proxy.system.retry import retrying

# Calls at a time, and the bytes of all objects under way. There are some four copies of each object
# in memory, and a central has a window for each station. So Flower's chunks of 5 MiB go one by one.
# A SuperNode of Flower has two calls under way: a SuperLink with many stations is to have time for
# others, too.
MAX_CALLS = 4
WINDOW_BYTES = 4 << 20
# Between asks for an object that the ServerApp has yet to upload.
UPLOAD_PAUSE_SECONDS = 0.2


def pull_objects(
    object_ids: Sequence[str],
    pull: Callable[[str], bytes | None],
    keep: Callable[[str, bytes], object],
    stop: threading.Event,
    deadline: Deadline,
) -> None:
    """Pull objects, in no particular order.

    Parameters
    ----------
    object_ids : Sequence[str]
        Which; in the order in which they are uploaded.
    pull : Callable[[str], bytes | None]
        Returns an object's content, or None if it has yet to come. For several threads.
    keep : Callable[[str, bytes], object]
        Takes each object, once. For several threads.
    stop : threading.Event
        Calls all off.
    deadline : Deadline
        When to give up.

    Raises
    ------
    FleetError
        What `pull` or `keep` raised first; or if an object was not uploaded in time.
    Unreachable
        If the SuperLink was out of reach until then.
    Cancelled
        If `stop` was set.
    """
    window = _Window(object_ids, stop)

    def ask(object_id: str) -> bytes | None:
        window.check()
        return pull(object_id)

    def ask_again(object_id: str) -> bytes:
        while (content := retrying(lambda: ask(object_id), stop, deadline)) is None:
            if deadline.passed:
                raise FleetError(f"Object {object_id} was never uploaded to the SuperLink.")
            if deadline.clock.wait(stop, UPLOAD_PAUSE_SECONDS):
                raise Cancelled("Stopped while a message was incomplete at the SuperLink.")
        return content

    def move(object_id: str) -> int:
        try:
            content = ask(object_id)
        except Unreachable:
            content = None
        if content is None:
            with window.held_up():
                content = ask_again(object_id)
        window.check()
        keep(object_id, content)
        return len(content)

    window.move(move)


def push_objects(
    object_ids: Sequence[str],
    read: Callable[[str], bytes],
    push: Callable[[str, bytes], object],
) -> None:
    """Push objects: the last one, which is the message, when all others have arrived.

    What does not arrive is not tried again here: after a while the SuperLink drops an announced
    reply that is incomplete, so it has to be announced anew. Nor is it called off: a reply that is
    there is worth the moment.

    Parameters
    ----------
    object_ids : Sequence[str]
        Which: children before parents.
    read : Callable[[str], bytes]
        Returns an object's content. For several threads.
    push : Callable[[str, bytes], object]
        Has the SuperLink store an object. For several threads.

    Raises
    ------
    FleetError
        What `push` raised first; `Unreachable`, too.
    """

    def move(object_id: str) -> int:
        content = read(object_id)
        push(object_id, content)
        return len(content)

    for some in (object_ids[:-1], object_ids[-1:]):
        _Window(some, threading.Event()).move(move)


class _Window:
    """The objects that are to be moved, and how many may be under way.

    Nobody knows an object's size before it is there. So the next one is taken for as large as the
    last ones were, and the first one for as large as the window. A thread starts only when there is
    room for one more call: what one thread has freed is not always there for others.
    """

    def __init__(self, object_ids: Iterable[str], stop: threading.Event) -> None:
        self._waiting = deque(object_ids)
        self._stop = stop
        self._changed = threading.Condition()
        self._asking_again = threading.Lock()
        self._held_up = 0
        self._left = len(self._waiting)
        self._under_way = 0
        self._size = WINDOW_BYTES
        self._threads = 0
        self._error: BaseException | None = None

    def move(self, move: Callable[[str], int]) -> None:
        """Call `move`, which returns an object's size, for each object.

        Raises its first error, at once: calls that are still under way then are of no use any
        more, and end by themselves.
        """
        with self._changed:
            self._start_thread(move)
            self._changed.wait_for(lambda: self._error is not None or not self._left)
            if self._error is not None:
                raise self._error

    def check(self) -> None:
        """Raise if nothing more is to be done."""
        if self._error is not None or self._stop.is_set():
            raise Cancelled("Stopped while objects were under way.")

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Start no further object meanwhile; only one call asks again at a time."""
        with self._changed:
            self._held_up += 1
        try:
            with self._asking_again:
                yield
        finally:
            with self._changed:
                self._held_up -= 1
                self._changed.notify_all()

    def _start_thread(self, move: Callable[[str], int]) -> None:
        """Let one more object be under way, if there is one, and room for it."""
        if self._waiting and self._has_room() and self._threads < MAX_CALLS:
            self._threads += 1
            threading.Thread(target=self._work, args=(move,), name="transfer", daemon=True).start()

    def _work(self, move: Callable[[str], int]) -> None:
        try:
            while (object_id := self._next(move)) is not None:
                self._arrived(move(object_id))
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _next(self, move: Callable[[str], int]) -> str | None:
        """Return the next object when there is room for it; None if there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._waiting or self._has_room())
            self.check()
            if not self._waiting:
                return None
            self._under_way += 1
            object_id = self._waiting.popleft()
            self._start_thread(move)
            return object_id

    def _has_room(self) -> bool:
        return not self._held_up and (
            not self._under_way or (self._under_way + 1) * self._size <= WINDOW_BYTES
        )

    def _arrived(self, size: int) -> None:
        with self._changed:
            self._left -= 1
            self._under_way -= 1
            # Arrays come with a small object each, which says nothing of the next array.
            self._size = max(size, self._size // 2)
            self._changed.notify_all()
