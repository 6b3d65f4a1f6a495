"""CentralProxy: impersonates one SuperNode for each station towards a real SuperLink.

Each `VirtualSuperNode` behaves as a SuperNode does: it registers, stays online with heartbeats and
works on one message at a time. Only that the work is done elsewhere (`proxy.relay`). Stations do
not wait for each other: replies are pushed as they come.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from proxy.carriers import Carrier
from proxy.errors import BridgeError, Cancelled, FleetError, RunNotRunning, UnknownNode
from proxy.fleet.link import HEARTBEAT_INTERVAL_SECONDS, Link
from proxy.fleet.messages import Instruction
from proxy.relay import Fabs, Relay
from proxy.report import MessageRecord, Observer, Steps
from proxy.retry import retrying
from proxy.text import block

log = logging.getLogger(__name__)

# Polls get rarer the longer nothing happens: the pause is a twentieth of the idle time.
_POLL_SECONDS = (0.1, 1.0)
_POLL_SHARE = 0.05
# After the SuperLink refused something, before asking again.
_REFUSED_PAUSE_SECONDS = 5.0
# How long calls that are under way may delay the end.
_STOP_SECONDS = 3.0


class CentralProxy:
    """Keeps one virtual SuperNode per station of a carrier, each in a thread of its own.

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
    """

    def __init__(
        self,
        connect: Callable[[str], Link],
        carrier: Carrier,
        folder: Path,
        deadline: float,
        observer: Observer,
    ) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        fabs, pulse, steps = Fabs(), _Pulse(), Steps()
        self._nodes = []
        for number, station in enumerate(carrier.stations, start=1):
            superlink = connect(station)
            bundles = folder / f"central-{number}"
            bundles.mkdir(parents=True)
            relay = Relay(station, superlink, carrier, bundles, deadline, fabs, self._stop)
            self._nodes.append(
                VirtualSuperNode(
                    station, superlink, carrier, relay, observer, pulse, steps, self._stop
                )
            )

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
                name = f"{target.__name__} {node.station}"
                self._threads.append(threading.Thread(target=target, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Call off what is under way and take the virtual SuperNodes off the SuperLink."""
        self._stop.set()
        _join(self._threads)
        leavers = [threading.Thread(target=node.leave, daemon=True) for node in self._nodes]
        for leaver in leavers:
            leaver.start()
        _join(leavers)


class VirtualSuperNode:
    """One station, as the SuperLink sees it. Made by `CentralProxy`."""

    def __init__(
        self,
        station: str,
        superlink: Link,
        carrier: Carrier,
        relay: Relay,
        observer: Observer,
        pulse: "_Pulse",
        steps: Steps,
        stop: threading.Event,
    ) -> None:
        self.station = station
        self._superlink = superlink
        self._carrier = carrier
        self._relay = relay
        self._observer = observer
        self._pulse = pulse
        self._steps = steps
        self._stop = stop
        self._busy = False

    def register(self) -> None:
        """Get a node id from the SuperLink, and let the station get ready under it."""
        self._superlink.register()
        log.info("station %s is SuperNode %d", self.station, self._superlink.node_id)
        self._carrier.prepare(self.station, self._superlink.node_id)

    def leave(self) -> None:
        """Take the node off the SuperLink, if it is on it and that still answers."""
        try:
            if self._superlink.node_id:
                self._superlink.unregister()
        except FleetError as error:
            log.debug("station %s could not unregister: %s", self.station, error)
        self._superlink.close()

    def stay_online(self) -> None:
        """Send heartbeats until stopped, but for an idle station that cannot be reached.

        The SuperLink takes that for offline after a while, and for online with the next heartbeat.
        """
        while not self._stop.wait(HEARTBEAT_INTERVAL_SECONDS / 3):
            if not (self._busy or self._carrier.online(self.station)):
                continue
            try:
                self._superlink.heartbeat()
            except FleetError as error:
                # `work` meets the same trouble, and deals with it.
                log.debug("heartbeat of station %s failed: %s", self.station, error)

    def work(self) -> None:
        """Serve messages until stopped."""
        while not self._stop.wait(self._pause()):
            if not self._carrier.online(self.station):
                continue
            try:
                instruction = retrying(self._superlink.pull_messages, self._stop)
                if instruction is not None:
                    self._serve(instruction)
            except Cancelled:
                return
            except UnknownNode:
                log.warning(
                    "the SuperLink does not know station %s any more: registering it again",
                    self.station,
                )
                self._register_anew()
            except (BridgeError, OSError) as error:
                log.error("station %s: %s", self.station, error)
                self._stop.wait(_REFUSED_PAUSE_SECONDS)
            except Exception:
                # A fault of ours must not leave a SuperNode that is online and deaf.
                log.exception("station %s: internal error; please report it", self.station)
                self._stop.wait(_REFUSED_PAUSE_SECONDS)

    def _pause(self) -> float:
        """Seconds to wait before asking for a message again."""
        if self._superlink.long_polls and self._carrier.online(self.station):
            return 0.0
        return self._pulse.pause()

    def _serve(self, instruction: Instruction) -> None:
        metadata = instruction.metadata
        record = MessageRecord(
            self.station,
            str(metadata.run_id),
            metadata.message_type,
            metadata.group_id,
            metadata.message_id,
        )
        record.step = self._steps.number(record)
        self._observer.taken(record)
        self._pulse.beat()
        self._busy = True
        try:
            self._relay.serve(instruction, record)
        except RunNotRunning as error:
            record.error = block(f"no reply is needed any more: {error.message}")
            log.info("station %s: %s", self.station, record.error)
        except (BridgeError, OSError) as error:
            record.error = block(f"the reply is lost: {error}", 12)
            raise
        finally:
            self._busy = False
            self._observer.answered(record)
            self._pulse.beat()

    def _register_anew(self) -> None:
        try:
            retrying(self.register, self._stop)
        except Cancelled:
            pass
        except (BridgeError, OSError) as error:
            log.error("station %s cannot register at the SuperLink: %s", self.station, error)
            self._stop.wait(_REFUSED_PAUSE_SECONDS)


def _join(threads: Sequence[threading.Thread]) -> None:
    """Wait for threads, but not for a SuperLink that hangs."""
    give_up = time.monotonic() + _STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))


class _Pulse:
    """When something last happened at any station: the others may be next."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def beat(self) -> None:
        """Something happened."""
        self._last = time.monotonic()

    def pause(self) -> float:
        """Seconds to wait before asking the SuperLink for a message again."""
        shortest, longest = _POLL_SECONDS
        idle = time.monotonic() - self._last
        return min(max(shortest, _POLL_SHARE * idle), longest)
