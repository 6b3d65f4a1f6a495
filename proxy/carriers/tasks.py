"""The carrier that has a function run at a station for each bundle, and keeps warm hosts there."""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence

from proxy.calls import LONGEST_SECONDS, Call, CourierCall, HostCall, PerRoundCall, Settings
from proxy.carriers import Exchange, Function, FunctionFailed, Starter
from proxy.errors import Cancelled, CarrierError, HostGone, HostIdle, NotFound, ServerUnreachable

log = logging.getLogger(__name__)

# A function of an earlier process is waited for so long. Its result may be lost with whatever ended
# that process; a second one waits for the same answer, or finds it at the station.
_FOUND_SECONDS = 60.0


class TaskCarrier:
    """Implements `proxy.carriers.Carrier` with functions that a starter starts.

    Parameters
    ----------
    starter : Starter
        Has functions run at the stations.
    stations : Mapping[str, Settings]
        The stations, by name.
    idle_limit : float | None
        Seconds without a message after which a station's warm host ends; None to do without hosts:
        then a runtime is started for each message.
    """

    def __init__(
        self, starter: Starter, stations: Mapping[str, Settings], idle_limit: float | None
    ) -> None:
        self._starter = starter
        self._settings = stations
        self._hosts: dict[str, _Host] = {}
        if idle_limit is not None:
            self._hosts = {
                name: _Host(starter, name, settings, idle_limit)
                for name, settings in stations.items()
            }

    @property
    def stations(self) -> Sequence[str]:
        """The names of the stations."""
        return list(self._settings)

    def prepare(self, station: str, node_id: int) -> None:
        """Start the station's host, if there are to be hosts."""
        if host := self._hosts.get(station):
            host.node_id = node_id
            host.start(threading.Event())

    def online(self, station: str) -> bool:
        """Whether a station can be reached, as far as is known."""
        return self._starter.online(station)

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Run the partial function on a bundle; see `Carrier.exchange`."""
        if exchange.cancelled.is_set():
            raise Cancelled("Stopped before a station got its message.")
        timeout = max(0.0, min(exchange.timeout, LONGEST_SECONDS))
        ends_at = time.monotonic() + timeout
        self._ensure_host(station, exchange)
        if exchange.task and self._found(station, exchange, ends_at):
            return
        try:
            self._run(station, exchange, ends_at)
        except HostIdle:  # it ended after we had looked
            self._ensure_host(station, exchange)
            self._run(station, exchange, ends_at)

    def _ensure_host(self, station: str, exchange: Exchange) -> None:
        if host := self._hosts.get(station):
            host.ensure(exchange.cancelled)

    def _run(self, station: str, exchange: Exchange, ends_at: float) -> None:
        """Have a function run on a bundle."""
        room = self._starter.room_for_reply(station, exchange)
        host = self._hosts.get(station)
        call: Call
        if host is not None:
            timeout = max(0.0, ends_at - time.monotonic())
            call = CourierCall(exchange.message_id, timeout, room, self._starter.job, host.id)
        else:
            config, mode = self._settings[station].node_config, self._settings[station].mode
            call = PerRoundCall(exchange.message_id, config, mode, self._starter.job, room)
        function = self._starter.start(
            station, exchange.title, call, exchange.instruction, ends_at, exchange.cancelled
        )
        if function.task:
            exchange.started(function.task)
        try:
            function.save_reply(exchange.reply, ends_at, exchange.cancelled)
        except CarrierError as error:
            if host is not None:
                host.doubtful = True
            if not isinstance(error, FunctionFailed):
                raise
            if host is not None:
                host.gone = error.kind in (HostGone.code, HostIdle.code)
            if error.kind == HostIdle.code:
                raise HostIdle(f"{station}: {error.message}") from error
            last_words = host.last_words(exchange.cancelled) if host is not None else ""
            raise CarrierError(f"{station}: {error.message}{last_words}") from error
        finally:
            function.stop()

    def _found(self, station: str, exchange: Exchange, ends_at: float) -> bool:
        """Whether a function that an earlier process started had the answer."""
        function = self._starter.find(station, exchange.task)
        if function is None:
            return False
        soon = min(ends_at, time.monotonic() + _FOUND_SECONDS)
        try:
            function.save_reply(exchange.reply, soon, exchange.cancelled)
        except Cancelled:
            function.stop()
            raise
        except CarrierError as error:
            # The station has what it answered, or never heard of the message.
            log.info("%s: %s is brought again: %s", station, exchange.title, error.message)
            return False
        return True

    def close(self) -> None:
        """End what runs at the stations, at all of them at once."""
        enders = [threading.Thread(target=self._leave, args=[name]) for name in self._settings]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    def _leave(self, station: str) -> None:
        self._starter.leave(station)
        if host := self._hosts.get(station):
            host.stop()


class _Host:
    """A station's warm host, started anew when it has ended.

    Attributes
    ----------
    node_id : int
        What it serves under.
    id : str
        Names the one that was started last: stations note under it that it ended for want of
        messages.
    doubtful : bool
        Whether something failed at the station: that the host is shown as running means little.
    gone : bool
        Whether the station itself says that the host does not live: then it means nothing.
    """

    def __init__(self, starter: Starter, name: str, settings: Settings, idle_limit: float) -> None:
        self.node_id = 0
        self.id = ""
        self.doubtful = False
        self.gone = False
        self._starter = starter
        self._name = name
        self._settings = settings
        self._idle_limit = idle_limit
        self._function: Function | None = None

    def start(self, cancelled: threading.Event) -> None:
        """Start it, in place of one that is there."""
        self.stop()
        self.id = os.urandom(16).hex()
        settings = self._settings
        call = HostCall(
            self.node_id,
            settings.node_config,
            self._idle_limit,
            settings.mode,
            self._starter.job,
            self.id,
        )
        ends_at = time.monotonic() + LONGEST_SECONDS
        self._function = self._starter.start(self._name, "host", call, None, ends_at, cancelled)

    def ensure(self, cancelled: threading.Event) -> None:
        """Start a new one if it has ended."""
        status = "it never started"
        if self._function is not None:
            try:
                ending = self._function.ending(self.doubtful, cancelled)
            except ServerUnreachable:
                # A node's proxy says no more than that of a task that somebody deleted.
                if not self.gone:
                    return
                ending = None
            except NotFound:
                ending, self.gone = None, True
            self.doubtful = False
            if ending is None and not self.gone:
                return
            status = (ending.error or ending.status) if ending else "nobody saw how"
        self.gone = False
        log.warning(
            "station %s: its host ended (%s); a new one starts, and the ClientApp's state is lost",
            self._name,
            status,
        )
        self.start(cancelled)

    def last_words(self, cancelled: threading.Event) -> str:
        """Return what it said at its end: a courier only sees that it is gone."""
        try:
            ending = self._function.ending(self.doubtful, cancelled) if self._function else None
        except (ServerUnreachable, NotFound):
            return ""
        return f" It said: {ending.error}" if ending is not None and ending.error else ""

    def stop(self) -> None:
        """End it, where that is allowed."""
        if self._function is not None:
            self._function.stop()
        self._function = None
