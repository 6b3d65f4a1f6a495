"""CentralProxy: impersonates one SuperNode for each station towards a real SuperLink.

Each `VirtualSuperNode` behaves as a SuperNode does: it registers, stays online with heartbeats and
works on one message at a time. Only that the work is done elsewhere (`proxy.central.delivery`).
Stations do not wait for each other: replies are pushed as they come.

A fault of ours, or of a carrier, in one of its threads is logged, and the thread goes on: a thread
that ended would leave a SuperNode that is online and deaf.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from proxy.carriers import Carrier
from proxy.central.delivery import Delivery
from proxy.central.events import Dropped, Event, Pulled, Pushed, Trace, told_to
from proxy.central.memory import FORGETFUL, Differs, Lasting
from proxy.central.report import Observer, Reporter, log_trouble
from proxy.central.stations import Held, Station, Terms
from proxy.clock import SYSTEM_CLOCK, Clock, Deadline
from proxy.errors import (
    BridgeError,
    Cancelled,
    CarrierError,
    FleetError,
    ReplyRefused,
    RunNotRunning,
    Undelivered,
    UnknownNode,
)
from proxy.fleet.messages import Instruction
from proxy.system.retry import retrying
from proxy.transport.identity import Identity
from proxy.transport.link import HEARTBEAT_INTERVAL_SECONDS, Link

log = logging.getLogger(__name__)

# Polls get rarer the longer nothing happens: the pause is a twentieth of the idle time.
_POLL_SECONDS = (0.1, 1.0)
_POLL_SHARE = 0.05
# After something failed, before trying again.
_TROUBLE_PAUSE_SECONDS = 5.0
# For so long after a reply was pushed its node has to be there, that its ServerApp sees it: that
# asks every 3 s (flwr 1.41, superlink/grid/http_grid.py), and for a node that is gone the SuperLink
# answers itself (server/superlink/linkstate/in_memory_linkstate.py, get_message_res).
LINGER_SECONDS = 4.0
# How long calls that are under way may delay the end.
_STOP_SECONDS = 3.0


class CentralProxy:
    """Keeps one virtual SuperNode per station of a carrier, each in threads of its own.

    Parameters
    ----------
    connect : Callable[[str], Link]
        Makes a connection to the SuperLink, for the SuperNode of the station that is named.
    carrier : Carrier
        Reaches the stations. Not closed here.
    folder : Path
        For bundles on their way.
    deadline : float
        Seconds that a station may take for a message; a message's own time to live may be less.
    observer : Observer
        Hears of every message.
    identities : Mapping[str, Identity]
        The SuperNodes that the SuperLink was told of beforehand, by station.
    clock : Clock
        Tells the time, and waits.
    listeners : Sequence[Callable[[Event], None]]
        Whoever else hears of the messages' events.
    journal : Lasting | None
        Keeps what has to survive this process, and knows what an earlier one had under way.
    linger : float
        Seconds after the last reply was pushed for which the virtual SuperNodes stay at least:
        `LINGER_SECONDS` where the SuperLink lives on.
    """

    def __init__(
        self,
        connect: Callable[[str], Link],
        carrier: Carrier,
        folder: Path,
        deadline: float,
        observer: Observer,
        identities: Mapping[str, Identity] = MappingProxyType({}),
        clock: Clock = SYSTEM_CLOCK,
        listeners: Sequence[Trace] = (),
        journal: Lasting | None = None,
        linger: float = 0.0,
    ) -> None:
        terms = Terms(deadline, threading.Event(), clock, memory=journal or FORGETFUL)
        self._stop, self._clock, self._linger = terms.stop, clock, linger
        self._threads: list[threading.Thread] = []
        reporter, pulse = Reporter(observer), _Pulse(clock)
        self._pulse = pulse
        listeners = [pulse.trace, reporter.trace, log_trouble, *listeners]
        self._nodes = []
        for number, name in enumerate(carrier.stations, start=1):
            if journal is None:
                bundles = folder / f"central-{number}"
                bundles.mkdir(parents=True)
            else:
                bundles = journal.folder_of(name)
            held = Held(supernode_life=terms.memory.supernode_life(name))
            station = Station(name, connect(name), carrier, bundles, held)
            identity = identities.get(name)
            needed: list[Trace] = []
            if journal is not None:
                needed = [journal.trace]
            elif identity is not None:
                needed = [_KeptWithKey(identity).trace]
            trace = told_to(listeners, needed)
            self._nodes.append(VirtualSuperNode(station, terms, trace, pulse, identity))

    def start(self) -> None:
        """Register all virtual SuperNodes, then work for them until `stop`.

        Raises
        ------
        FleetError
            If the SuperLink does not answer or refuses.
        """
        for node in self._nodes:
            node.register()
        for node in self._nodes:
            for target in (node.work, node.stay_online):
                name = f"{target.__name__} {node.name}"
                self._threads.append(threading.Thread(target=target, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer messages under way with errors and take the virtual SuperNodes off the SuperLink.

        A reply that is being pushed is given some seconds, and so is its ServerApp to see it.
        """
        self._stop.set()
        _join([_started(node.call_off, node.name) for node in self._nodes])
        _join(self._threads)
        if (left := self._linger - self._pulse.since_push) > 0:
            log.info("the SuperNodes stay for %.0f s, until the last replies were seen", left)
            self._clock.wait(threading.Event(), left)
        _join([_started(node.leave, node.name) for node in self._nodes])


class VirtualSuperNode:
    """One station, as the SuperLink sees it. Made by `CentralProxy`."""

    def __init__(
        self,
        station: Station,
        terms: Terms,
        trace: Trace,
        pulse: "_Pulse",
        identity: Identity | None,
    ) -> None:
        self.name = station.name
        self._station = station
        self._superlink = station.superlink
        self._terms = terms
        self._stop, self._clock = terms.stop, terms.clock
        self._pulse = pulse
        self._identity = identity
        self._trace = trace
        self._delivery: Delivery | None = None
        # The last message, if the SuperLink may repeat it.
        self._unconfirmed = terms.memory.unconfirmed(self.name)

    def register(self) -> None:
        """Get a node id from the SuperLink, and let the station get ready under it."""
        self._superlink.register()
        log.info("station %s is node %d", self.name, self._superlink.node_id)
        self._station.carrier.prepare(self.name, self._superlink.node_id)

    def call_off(self) -> None:
        """Answer the message at hand, if there is one, with an error reply."""
        delivery = self._delivery
        if delivery is not None:
            with self._going_on():
                delivery.fail(
                    Cancelled(f"The bridge was stopped while station {self.name} had the message.")
                )

    def leave(self) -> None:
        """Take the node off the SuperLink, if it is on it and that still answers."""
        with self._going_on():
            try:
                if self._superlink.node_id:
                    self._superlink.unregister()
            except FleetError as error:
                log.debug("station %s could not unregister: %s", self.name, error)
        self._superlink.close()

    def stay_online(self) -> None:
        """Send heartbeats until stopped, but for an idle station that cannot be reached.

        The SuperLink takes that for offline after a while, and for online with the next heartbeat.
        """
        while not self._clock.wait(self._stop, HEARTBEAT_INTERVAL_SECONDS / 3):
            with self._going_on():
                if self._delivery is None and not self._online():
                    continue
                try:
                    self._superlink.heartbeat()
                except FleetError as error:
                    # `work` meets the same trouble, and deals with it.
                    log.debug("heartbeat of station %s failed: %s", self.name, error)

    def work(self) -> None:
        """Serve messages until stopped."""
        with self._going_on():
            self._finish_for_predecessor()
        with self._going_on():
            self._answer_for_predecessor()
        while not self._stop.is_set():
            with self._going_on():
                if not self._clock.wait(self._stop, self._pause()) and self._online():
                    self._serve_next()

    def _serve_next(self) -> None:
        """Serve a message, if there is one."""
        try:
            never = Deadline(self._clock)
            instruction = retrying(self._superlink.pull_messages, self._stop, never)
            if instruction is None:
                return
            if self._stop.is_set() and self._terms.memory.is_run:
                return  # a ServerApp sent it that goes on without the replies that were called off
            if instruction.message_id == self._unconfirmed:
                # From flwr 1.43 on a message comes again until that has arrived.
                about = instruction.metadata
                self._superlink.confirm_message_received(about.run_id, about.message_id)
                self._unconfirmed = ""
            else:
                self._deliver(instruction, Delivery.run)
        except UnknownNode as error:
            if self._stop.is_set():
                return  # it has left
            log.warning(
                "the SuperLink does not know station %s any more, registering anew: %s",
                self.name,
                error,
            )
            retrying(self.register, self._stop, Deadline(self._clock))

    def _finish_for_predecessor(self) -> None:
        """Go on with the message that another process with our journal had under way."""
        memory = self._terms.memory
        instruction = memory.unfinished(self.name)
        if instruction is None:
            return
        title = f"message {instruction.message_id:.12}"
        if instruction.metadata.dst_node_id != self._superlink.node_id:
            why = "The SuperLink does not know its node any more."
        elif instruction.expires_at <= self._clock.time():
            why = "It expired while the bridge was away."
        else:
            log.info("station %s: going on with %s, under way before", self.name, title)
            try:
                self._deliver(instruction, Delivery.run)
            except ReplyRefused:
                log.info("station %s: %s had its answer, or needs none", self.name, title)
            return
        log.warning("station %s: %s is dropped. %s", self.name, title, why)
        memory.give_up(self.name, why)

    def _answer_for_predecessor(self) -> None:
        """Answer the message that another process had under way with our key when it ended.

        The SuperLink does not hand it out again, and takes the station for online.
        """
        if self._identity is None or not (encoded := self._identity.kept_message()):
            return
        try:
            instruction = Instruction.decode(encoded)
        except FleetError:
            instruction = None
        if (
            instruction is None
            or instruction.metadata.dst_node_id != self._superlink.node_id
            or instruction.expires_at <= self._clock.time()
        ):
            self._identity.forget_message()
            return
        lost = Cancelled(f"The bridge ended while station {self.name} had the message.")
        try:
            self._deliver(instruction, lambda delivery: delivery.fail(lost))
        except ReplyRefused:
            log.info("station %s: message %s had its answer", self.name, instruction.message_id)
        else:
            log.warning("station %s: answered a message that was under way before", self.name)
        self._identity.forget_message()  # with a journal nobody else does

    def _deliver(self, instruction: Instruction, deliver: Callable[[Delivery], None]) -> None:
        self._delivery = Delivery(self._station, self._terms, instruction, self._trace)
        try:
            deliver(self._delivery)
        except (RunNotRunning, Differs) as error:
            log.debug("station %s: %s", self.name, error)  # the report, and the run, say it
        finally:
            # One that comes again though it was confirmed was sent again by the ServerApp.
            self._unconfirmed = "" if self._delivery.confirmed else instruction.message_id
            self._delivery = None

    def _pause(self) -> float:
        """Seconds to wait before asking for a message again."""
        if self._superlink.long_polls and self._online():
            return 0.0
        return self._pulse.pause()

    def _online(self) -> bool:
        return self._station.carrier.online(self.name)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log an exception of the body, and wait a moment: the thread goes on."""
        try:
            yield
        except Cancelled as error:
            log.debug("station %s: %s", self.name, error)
        except (BridgeError, OSError) as error:
            log.error("station %s: %s", self.name, error)
            self._clock.wait(self._stop, _TROUBLE_PAUSE_SECONDS)
        except Exception:
            log.exception("station %s: internal error; please report it", self.name)
            self._clock.wait(self._stop, _TROUBLE_PAUSE_SECONDS)


class _KeptWithKey:
    """Keeps a station's message with its key, from before anything is done until it is answered.

    A message that cannot be kept is not sent: if the bridge were killed, nobody would answer it.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def trace(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Pulled():
                try:
                    self._identity.keep_message(event.instruction.encoded)
                except OSError as error:
                    raise CarrierError(
                        f"The bridge cannot keep the message beside the key of station"
                        f" {event.station}: {error.strerror}. It was not sent."
                    ) from error
            case Pushed():
                self._identity.forget_message()
            case Dropped():
                # A successor may still deliver an error reply.
                if event.expired or not isinstance(event.error, Undelivered):
                    self._identity.forget_message()


def _started(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=f"{target.__name__} {name}", daemon=True)
    thread.start()
    return thread


def _join(threads: Sequence[threading.Thread]) -> None:
    """Wait for threads, but not for a SuperLink that hangs."""
    give_up = time.monotonic() + _STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))


class _Pulse:
    """When something last happened at any station: the others may be next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic()
        self._pushed = float("-inf")

    def trace(self, event: Event) -> None:
        """Something happened."""
        self._last = self._clock.monotonic()
        if isinstance(event, Pushed):
            self._pushed = self._last

    @property
    def since_push(self) -> float:
        """Seconds since a reply was pushed; infinity if none was."""
        return self._clock.monotonic() - self._pushed

    def pause(self) -> float:
        """Seconds to wait before asking the SuperLink for a message again."""
        shortest, longest = _POLL_SECONDS
        idle = self._clock.monotonic() - self._last
        return min(max(shortest, _POLL_SHARE * idle), longest)
