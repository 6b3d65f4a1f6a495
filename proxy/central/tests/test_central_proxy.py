"""The CentralProxy keeps one SuperNode online for each station, and each works on its own."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from protos import fleet_pb2 as fleet
from proxy.carriers import Exchange
from proxy.central.central_proxy import CentralProxy
from proxy.central.tests.bridges import (
    MODEL,
    SECONDS,
    TRAINED,
    QuickClock,
    Troubled,
    Watch,
    hang,
)
from proxy.clock import Clock
from proxy.errors import CarrierError, UnknownNode, Unreachable
from proxy.testing import ClientApp, Content, FakeSuperLink, MemoryCarrier, Objects, record_dict
from proxy.tests.helpers import wait_until
from proxy.transport.superlink import SuperLink


class Bridge:
    """A FakeSuperLink, a CentralProxy and a carrier's stations as its SuperNodes."""

    def __init__(
        self, carrier: MemoryCarrier, folder: Path, clock: Clock | None = None, linger: float = 0.0
    ) -> None:
        self.superlink = FakeSuperLink()
        self.carrier = carrier
        self.watch = Watch()
        self.central = CentralProxy(
            lambda _: SuperLink(self.superlink),
            carrier,
            folder,
            deadline=60.0,
            observer=self.watch,
            clock=clock or QuickClock(),
            linger=linger,
        )

    def node_id(self, station: str) -> int:
        """Return the node id under which a station is known."""
        return self.carrier.supernodes[station].node_id

    def push(self, station: str, content: Objects = MODEL) -> str:
        """Queue a message for a station."""
        return self.superlink.push_instruction(content, self.node_id(station))


Start = Callable[..., Bridge]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a bridge, and stop it after the test."""
    started: list[Bridge] = []

    def start(
        clientapp: ClientApp = lambda _: TRAINED,
        stations: tuple[str, ...] = ("north", "south"),
        carrier: MemoryCarrier | None = None,
        clock: Clock | None = None,
        linger: float = 0.0,
    ) -> Bridge:
        carrier = carrier or MemoryCarrier(clientapp, stations)
        bridge = Bridge(carrier, tmp_path, clock, linger)
        bridge.central.start()
        started.append(bridge)
        return bridge

    yield start
    for bridge in started:
        bridge.central.stop()


# Being SuperNodes


def test_every_station_is_a_supernode_of_its_own(start: Start) -> None:
    bridge = start(stations=("north", "south", "east"))
    node_ids = {bridge.node_id(station) for station in ("north", "south", "east")}
    assert len(node_ids) == 3
    assert bridge.superlink.online == node_ids


def test_a_stopped_bridge_leaves_the_superlink(start: Start) -> None:
    bridge = start()
    bridge.central.stop()
    assert bridge.superlink.online == set()
    assert [method for method, _ in bridge.superlink.calls].count("UnregisterNode") == 2


def test_a_superlink_that_is_gone_does_not_keep_a_bridge_from_stopping(start: Start) -> None:
    bridge = start()
    bridge.superlink.be_unreachable(10**6)
    bridge.central.stop()


def test_a_superlink_that_does_not_answer_at_the_start_is_an_error(tmp_path: Path) -> None:
    bridge = Bridge(MemoryCarrier(lambda _: TRAINED), tmp_path)
    bridge.superlink.be_unreachable(1)
    with pytest.raises(Unreachable):
        bridge.central.start()
    bridge.central.stop()


# Serving messages


def test_every_station_answers_its_own_messages(start: Start) -> None:
    bridge = start()
    message_ids = [bridge.push(station) for station in ("north", "south", "north")]
    bridge.watch.wait(answers=3)
    assert [bridge.superlink.reply_to(each) for each in message_ids] == [TRAINED] * 3
    assert Counter(record.station for record in bridge.watch.answers) == {"north": 2, "south": 1}


def test_a_station_does_not_wait_for_another(start: Start) -> None:
    slow = record_dict(weights=b"slow")
    go_on = threading.Event()

    def clientapp(content: Objects) -> Objects:
        assert content != slow or go_on.wait(SECONDS)
        return TRAINED

    bridge = start(clientapp)
    first = bridge.push("north", slow)
    bridge.watch.wait(takings=1)
    second = bridge.push("south")
    bridge.watch.wait(answers=1)
    assert list(bridge.superlink.replies) == [second]
    go_on.set()
    bridge.watch.wait(answers=2)
    assert list(bridge.superlink.replies) == [second, first]


def test_a_station_asks_for_a_message_only_after_it_has_answered_the_one_before(
    start: Start,
) -> None:
    bridge = start(stations=("north",))
    for _ in range(3):
        bridge.push("north")
    bridge.watch.wait(answers=3)
    of_interest = ("PullMessages", "ConfirmMessageReceived", "PushMessages")
    methods = [method for method, _ in bridge.superlink.calls if method in of_interest]
    served = [pair for pair in pairwise(methods) if pair[0] == "ConfirmMessageReceived"]
    assert served == [("ConfirmMessageReceived", "PushMessages")] * 3


def test_the_app_of_a_run_is_fetched_once_for_all_stations(start: Start) -> None:
    bridge = start(stations=("north", "south", "east"))
    for station in ("north", "south", "east"):
        bridge.push(station)
    bridge.watch.wait(answers=3)
    assert [method for method, _ in bridge.superlink.calls].count("GetFab") == 1


def test_a_message_that_the_serverapp_sends_again_is_answered_again(start: Start) -> None:
    bridge = start()
    message_id = bridge.push("north")
    bridge.watch.wait(answers=1)
    bridge.superlink.push_again(message_id)
    bridge.watch.wait(answers=2)
    assert bridge.superlink.reply_to(message_id) == TRAINED


def test_an_observer_hears_of_every_message_when_it_is_taken_and_when_it_is_answered(
    start: Start,
) -> None:
    bridge = start()
    bridge.push("north")
    bridge.watch.wait(answers=1)
    (taken,), (answered,) = bridge.watch.takings, bridge.watch.answers
    assert taken is answered
    assert (taken.station, taken.flower_run) == ("north", str(bridge.superlink.run_id))
    assert (taken.message_type, taken.group_id) == ("train", "1")


# Trouble


def closed(_: threading.Event) -> None:
    raise CarrierError("The station is closed.")


def test_a_message_that_failed_is_answered_with_an_error_and_the_next_one_is_served(
    start: Start,
) -> None:
    bridge = start(carrier=Troubled(closed))
    first, second = bridge.push("north"), bridge.push("north")
    bridge.watch.wait(answers=2)
    said: Content = bridge.superlink.reply_to(first)
    assert said == fleet.Error(code=5, reason="The station is closed.")
    assert bridge.superlink.reply_to(second) == TRAINED


def test_a_message_whose_run_ended_is_dropped_and_the_next_one_is_served(start: Start) -> None:
    bridge = start(carrier=Troubled(lambda _: bridge.superlink.end_run(other)))
    other = bridge.superlink.start_run(b"another app")
    node_id = bridge.node_id("north")
    dropped = bridge.superlink.push_instruction(MODEL, node_id, run_id=other)
    served = bridge.push("north")
    bridge.watch.wait(answers=2)
    assert dropped not in bridge.superlink.replies
    assert "no reply is needed" in bridge.watch.answers[0].error
    assert bridge.superlink.reply_to(served) == TRAINED


def test_a_superlink_out_of_reach_for_a_moment_is_asked_again(start: Start) -> None:
    bridge = start(stations=("north",))
    bridge.superlink.be_unreachable(1, "PullMessages")
    message_id = bridge.push("north")
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED


def test_a_superlink_that_started_anew_gets_its_supernodes_back(start: Start) -> None:
    bridge = start(stations=("north",))
    before = bridge.node_id("north")
    bridge.superlink.forget_nodes()
    assert wait_until(lambda: bridge.node_id("north") != before)
    assert bridge.superlink.online == {bridge.node_id("north")}
    message_id = bridge.push("north")
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED


@pytest.mark.parametrize("method", ["RegisterNode", "ActivateNode"])
def test_a_supernode_comes_back_even_if_an_answer_is_lost_on_the_way(
    start: Start, method: str
) -> None:
    bridge = start(stations=("north",))
    before = bridge.node_id("north")
    bridge.superlink.be_unreachable(1, method, answers=True)
    bridge.superlink.forget_nodes()
    assert wait_until(lambda: bridge.node_id("north") != before)


def test_a_station_that_leaves_does_not_come_back_when_the_superlink_does_not_know_it_any_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(stations=("north",))
    superlink, call = bridge.superlink, bridge.superlink.call
    stopping = threading.Thread(target=bridge.central.stop)

    def call_while_stopping(method: str, request: bytes) -> bytes:
        if method == "PullMessages" and not stopping.ident:
            stopping.start()
            assert wait_until(bridge.central._stop.is_set)
            raise UnknownNode("It left.")
        return call(method, request)

    monkeypatch.setattr(superlink, "call", call_while_stopping)
    assert wait_until(lambda: stopping.ident)
    stopping.join()
    assert [method for method, _ in superlink.calls].count("RegisterNode") == 1
    assert not superlink.online


def hanging() -> tuple[threading.Event, Callable[[threading.Event], None]]:
    """Return what is set when a station has the message, and what hangs there."""
    at_the_station = threading.Event()

    def hang_there(cancelled: threading.Event) -> None:
        at_the_station.set()
        hang(cancelled)

    return at_the_station, hang_there


def test_stopping_answers_what_is_under_way_with_an_error_before_the_station_leaves(
    start: Start,
) -> None:
    at_the_station, hang_there = hanging()
    bridge = start(carrier=Troubled(hang_there))
    message_id = bridge.push("north")
    assert at_the_station.wait(SECONDS)
    bridge.central.stop()
    reply = bridge.superlink.reply_to(message_id)
    # The carrier hears of the stop at the same time: either of them may give the reason.
    assert isinstance(reply, fleet.Error)
    assert (reply.code, "topped while" in reply.reason) == (5, True)
    methods = [method for method, _ in bridge.superlink.calls]
    assert methods.index("PushObject") < methods.index("DeactivateNode")


class StillClock(QuickClock):
    """Stands still, but for what a test adds; notes for how long the test's own thread waits.

    Attributes
    ----------
    now : float
        What it shows, in seconds.
    waits : list[float]
        See above.
    waiting : Callable[[], object]
        Called instead of waiting there.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.waiting: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if threading.current_thread() is not threading.main_thread():
            return super().wait(event, seconds)
        self.waits.append(seconds)
        self.waiting()
        return False


def test_a_supernode_stays_until_the_serverapp_can_have_seen_its_last_reply(start: Start) -> None:
    clock, online = StillClock(), []
    bridge = start(clock=clock, linger=4.0)
    clock.waiting = lambda: online.append(bridge.superlink.online.copy())
    bridge.push("north")
    bridge.watch.wait(answers=1)
    clock.now += 1.5
    both = bridge.superlink.online.copy()
    bridge.central.stop()
    assert (clock.waits, online) == ([2.5], [both])
    assert not bridge.superlink.online


def test_a_supernode_stays_after_an_error_reply_that_it_gave_because_it_was_stopped(
    start: Start,
) -> None:
    at_the_station, hang_there = hanging()
    clock, replied = StillClock(), []
    bridge = start(carrier=Troubled(hang_there), clock=clock, linger=4.0)
    clock.waiting = lambda: replied.append(message_id in bridge.superlink.replies)
    message_id = bridge.push("north")
    assert at_the_station.wait(SECONDS)
    bridge.central.stop()
    assert (clock.waits, replied) == ([4.0], [True])


@pytest.mark.parametrize(
    ("pushed", "linger"),
    [(False, 4.0), (True, 4.0), (True, 0.0)],
    ids=["none", "long ago", "a run"],
)
def test_without_a_reply_just_before_a_supernode_leaves_at_once(
    start: Start, pushed: bool, linger: float
) -> None:
    clock = StillClock()
    bridge = start(clock=clock, linger=linger)
    if pushed:
        bridge.push("north")
        bridge.watch.wait(answers=1)
        clock.now += linger
    bridge.central.stop()
    assert clock.waits == []


class Sometimes(MemoryCarrier):
    """Has a station that cannot always be reached, and notes who asks for that.

    Attributes
    ----------
    reachable : bool
        Whether it can.
    """

    def __init__(self) -> None:
        super().__init__(lambda _: TRAINED, ("north",))
        self.reachable = True
        self._asked: Counter[str] = Counter()

    def online(self, station: str) -> bool:
        self._asked[threading.current_thread().name] += 1
        return self.reachable

    def is_asked(self, times: int) -> bool:
        """Wait until those who pull messages and send heartbeats have asked so often more."""
        before = dict(self._asked)
        threads = ("work north", "stay_online north")
        return wait_until(
            lambda: all(self._asked[each] >= before.get(each, 0) + times for each in threads)
        )


def test_an_idle_station_that_cannot_be_reached_is_offline_until_it_can(start: Start) -> None:
    carrier = Sometimes()
    bridge = start(carrier=carrier)
    carrier.reachable = False
    assert carrier.is_asked(2)  # then what was under way is over
    bridge.superlink.calls.clear()
    message_id = bridge.push("north")
    assert carrier.is_asked(10)
    assert bridge.superlink.calls == []
    carrier.reachable = True
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED
    assert wait_until(lambda: "SendNodeHeartbeat" in dict(bridge.superlink.calls))


def test_a_station_that_cannot_be_reached_while_it_has_a_message_stays_online(
    start: Start,
) -> None:
    go_on = threading.Event()

    class Busy(Sometimes):
        def exchange(self, station: str, exchange: Exchange) -> None:
            assert go_on.wait(SECONDS)
            super().exchange(station, exchange)

    carrier = Busy()
    bridge = start(carrier=carrier)
    message_id = bridge.push("north")
    bridge.watch.wait(takings=1)
    carrier.reachable = False
    bridge.superlink.calls.clear()
    assert wait_until(lambda: [m for m, _ in bridge.superlink.calls].count("SendNodeHeartbeat") > 3)
    go_on.set()
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED


def test_a_station_that_cannot_get_ready_under_its_new_node_id_is_served_nevertheless(
    start: Start,
) -> None:
    class Unready(MemoryCarrier):
        def prepare(self, station: str, node_id: int) -> None:
            again = station in self.supernodes
            super().prepare(station, node_id)
            if again:
                raise CarrierError("There is no server to start a host.")

    bridge = start(carrier=Unready(lambda _: TRAINED, ("north",)))
    before = bridge.node_id("north")
    bridge.superlink.forget_nodes()
    assert wait_until(lambda: bridge.node_id("north") != before)
    message_id = bridge.push("north")
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED


# No thread ends silently


class Faulty(MemoryCarrier):
    """Raises what no carrier should, for a while.

    Attributes
    ----------
    faults : Counter[str]
        How often it is yet to raise, by the names of the threads that ask.
    """

    def __init__(self) -> None:
        super().__init__(lambda _: TRAINED, ("north",))
        self.faults = Counter({"work north": 3, "stay_online north": 3})

    def online(self, station: str) -> bool:
        thread = threading.current_thread().name
        if self.faults[thread] > 0:
            self.faults[thread] -= 1
            raise ZeroDivisionError("a fault of the carrier")
        return True


def test_a_fault_in_a_carrier_ends_neither_messages_nor_heartbeats(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    carrier = Faulty()
    bridge = start(carrier=carrier)
    message_id = bridge.push("north")
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED
    assert wait_until(lambda: carrier.faults.total() == 0)
    bridge.superlink.calls.clear()
    assert wait_until(lambda: "SendNodeHeartbeat" in dict(bridge.superlink.calls))
    assert "internal error" in caplog.text


def test_a_fault_in_an_observer_costs_no_message(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = start(stations=("north",))
    monkeypatch.setattr(bridge.watch, "taken", lambda _: 1 / 0)
    message_id = bridge.push("north")
    bridge.watch.wait(answers=1)
    assert bridge.superlink.reply_to(message_id) == TRAINED
