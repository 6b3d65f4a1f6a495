"""What tests of the journal have in common: a central that is killed, and a station that is not."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from protos import bundle_pb2
from proxy.carriers import Exchange
from proxy.central.central_proxy import CentralProxy
from proxy.central.events import Event, Stage
from proxy.central.tests.bridges import TRAINED, QuickClock, Watch
from proxy.fleet.releases import SCHEMAS, Schema
from proxy.journal.journal import Journal
from proxy.testing import ClientApp, Content, FakeSuperLink, MemoryCarrier, Objects
from proxy.tests.helpers import some, wait_until, write_bundle
from proxy.transport.identity import Identity, key_paths, make_keys
from proxy.transport.superlink import SuperLink

# A journal that goes wrong does so with the oldest or the newest of them; CI tries all.
SPOKEN = some(SCHEMAS, len(SCHEMAS) - 1)


class Killed(BaseException):
    """Ends a thread of a central, as SIGKILL would."""


def expect_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads be killed without a word; any other end of one is a failure."""

    def ended(arguments: threading.ExceptHookArgs) -> None:
        assert arguments.exc_type is Killed

    monkeypatch.setattr(threading, "excepthook", ended)


class Station(MemoryCarrier):
    """Stations that outlive the central: they train no message twice, and keep their replies.

    Attributes
    ----------
    trained : Counter[str]
        How often each message was trained.
    clientapp : ClientApp
        What answers the messages.
    had : set[str]
        Messages that a ClientApp had whose replies are lost.
    way_back : Callable[[Exchange], object]
        Called while a reply is on its way to the central.
    supernode_life : str
        The life of the SuperNode that is started next, if it is a warm one.
    """

    def __init__(
        self,
        folder: Path,
        schema: Schema = SCHEMAS[-1],
    ) -> None:
        self.clientapp: ClientApp = lambda _: TRAINED
        super().__init__(self._answer, ("north",), schema)
        folder.mkdir()
        self.trained: Counter[str] = Counter()
        self.had: set[str] = set()
        self.way_back: Callable[[Exchange], object] = lambda _: None
        self.supernode_life = ""
        self._replies = folder

    def prepare(self, station: str, node_id: int) -> None:
        super().prepare(station, node_id)
        self._proxies[station].supernode_life = self.supernode_life

    def _answer(self, content: Objects) -> Content:
        return self.clientapp(content)

    def replies(self) -> Iterable[Path]:
        """Return the bundles with all replies that the stations keep."""
        return self._replies.iterdir()

    def exchange(self, station: str, exchange: Exchange) -> None:
        if exchange.message_id in self.had:
            header = bundle_pb2.Header(message_id=exchange.message_id)
            header.failure.reason = "The station does not train twice."
            write_bundle(exchange.reply, header)
            return
        reply = self._replies / exchange.message_id
        if not reply.exists():
            super().exchange(station, exchange)
            shutil.copyfile(exchange.reply, reply)
            self.trained[exchange.message_id] += 1
        self.way_back(exchange)
        shutil.copyfile(reply, exchange.reply)


class LateClock(QuickClock):
    """Tells a later time, by some seconds."""

    late = 0.0

    def time(self) -> float:
        return super().time() + self.late


class _Calls:
    """Implements `proxy.transport.superlink.Transport`: before one method the caller is killed.

    Nobody who was killed calls anything.
    """

    def __init__(self, superlink: FakeSuperLink, method: str | None, kill: Callable[[], None]):
        self._superlink = superlink
        self._method = method
        self._kill = kill
        self.killed = False
        self.use_key, self.close = superlink.use_key, superlink.close

    def call(self, method: str, request: bytes) -> bytes:
        if method == self._method or self.killed:
            self._kill()
        return self._superlink.call(method, request)


class Bridge:
    """`flower-v6 attach` with a journal, which can be killed and started again.

    Attributes
    ----------
    superlink : FakeSuperLink
        Lives on.
    station : Station
        Lives on.
    folder : Path
        The journal's; after a kill, as it was at that moment.
    watch : Watch
        Hears of the messages.
    clock : LateClock
        That of all its centrals.
    """

    def __init__(self, folder: Path, schema: Schema = SCHEMAS[-1]) -> None:
        self.superlink = FakeSuperLink(schema=schema)
        self.station = Station(folder / "station", schema)
        self.folder = folder / "journal-1"
        self.watch = Watch()
        self.clock = LateClock()
        self.killed = threading.Event()
        self._starts = 1
        self._centrals: list[CentralProxy] = []
        self._open: list[Journal | Identity] = []

    def start(self, kill_at: Stage | str | None = None, noted: bool = True) -> CentralProxy:
        """Start a central.

        Parameters
        ----------
        kill_at : Stage | str | None
            The stage of a message, or the method of the Fleet API, at which it is killed.
        noted : bool
            Whether the journal heard of that stage before.
        """
        journal = Journal(self.folder)
        keys = self.folder / "keys"
        if not keys.exists():
            make_keys(keys, ["north"])
        identity = Identity(key_paths(keys, ["north"])[0], joins=True)
        self._open += [journal, identity]

        killing = threading.Lock()

        def kill() -> None:
            with killing:
                first, calls.killed = not calls.killed, True
            if first:  # others of its threads may meet their end meanwhile
                self.folder = self.folder.with_name(f"journal-{self._starts + 1}")
                self._starts += 1
                shutil.copytree(journal.folder, self.folder)
                self.killed.set()
            raise Killed

        trace = journal.trace

        def listen(event: Event) -> None:
            if event.stage == kill_at and not noted:
                kill()
            trace(event)
            if event.stage == kill_at:
                kill()

        journal.trace = listen  # type: ignore[method-assign]
        calls = _Calls(self.superlink, kill_at, kill)
        link = SuperLink(calls, identity=identity)
        central = CentralProxy(
            *(lambda _: link, self.station, journal.folder / "work", 60.0, self.watch),
            clock=self.clock,
            journal=journal,
        )
        central.start()
        self._centrals.append(central)
        return central

    def await_kill(self) -> None:
        assert self.killed.wait(120.0)

    def await_answer(self, message_id: str) -> None:
        """Wait until a message has its reply."""
        assert wait_until(lambda: any(each.message_id == message_id for each in self.watch.answers))

    def close(self) -> None:
        """End what is left of all centrals."""
        while self._centrals:
            self._centrals.pop().stop()
        self.shut()

    def shut(self) -> None:
        """Let go of what centrals had open."""
        while self._open:
            with suppress(OSError):
                self._open.pop().close()
