"""The embedded carrier: every station is a folder and some processes on this machine.

A station's partial function runs as a subprocess under the contract of a vantage6 container: input
file, output file, a temporary folder that the job shares at that station, databases. What runs here
is what runs in a container; only the container is missing.
"""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.carriers import Exchange, payload
from proxy.carriers.container import Container, Database
from proxy.errors import Cancelled, CarrierError
from proxy.process import GRACE_SECONDS, Process

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
# A function that runs Flower has Flower's grace to pass on, and some work of its own.
_FUNCTION_GRACE_SECONDS = GRACE_SECONDS + 2.0
# Here a host ends with its carrier; only one whose carrier lost it would have to end by itself.
_HOST_IDLE_LIMIT_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class LocalStation:
    """A station on this machine.

    Attributes
    ----------
    name : str
        Unique among the stations.
    node_config : str
        Its SuperNode's `--node-config`.
    databases : Mapping[str, Database]
        What a vantage6 node would let its containers use, by label.
    """

    name: str
    node_config: str
    databases: Mapping[str, Database] = field(default_factory=dict)


class LocalCarrier:
    """Implements `proxy.carriers.Carrier` with subprocesses.

    Parameters
    ----------
    stations : Sequence[LocalStation]
        The stations.
    command : Sequence[str]
        The program that a container would run.
    environment : Mapping[str, str]
        Its environment variables, besides the contract's.
    folder : Path
        An existing folder, for everything that the stations write.
    warm : bool
        Whether a station keeps one SuperNode for all messages, or starts one for each.
    mode : str
        What the functions `host` and `per_round` take as `mode`.
    """

    def __init__(
        self,
        stations: Sequence[LocalStation],
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        warm: bool,
        mode: str = "bridge",
    ) -> None:
        self._stations = {
            station.name: _Station(station, command, environment, folder / station.name, mode)
            for station in stations
        }
        self._warm = warm

    @property
    def stations(self) -> Sequence[str]:
        """The names of the stations."""
        return list(self._stations)

    def prepare(self, station: str, node_id: int) -> None:
        """Start the station's host, if SuperNodes are kept warm."""
        if self._warm:
            self._stations[station].start_host(node_id)

    def online(self, station: str) -> bool:  # noqa: ARG002
        """Whether a station can be reached: on this machine all can."""
        return True

    def exchange(self, station: str, exchange: Exchange) -> None:
        """Run the partial function on a bundle; see `Carrier.exchange`."""
        self._stations[station].exchange(exchange, warm=self._warm)

    def close(self) -> None:
        """End all hosts, at once."""
        enders = [threading.Thread(target=each.stop_host) for each in self._stations.values()]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()


class _Station:
    """A station's folder, and its host."""

    def __init__(
        self,
        station: LocalStation,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        mode: str,
    ) -> None:
        self._common = {"mode": mode, "node_config": station.node_config}
        self._station = station
        self._command = command
        self._environment = environment
        self._folder = folder
        self._job = folder / "job"
        self._job.mkdir(parents=True)
        self.log = folder / "functions.log"
        self._host: Process | None = None
        self._node_id = 0

    def start_host(self, node_id: int) -> None:
        self.stop_host()
        self._node_id = node_id
        arguments = {"node_id": node_id, "idle_limit": _HOST_IDLE_LIMIT_SECONDS}
        run = self._make_run("host", {**self._common, **arguments})
        self._host = self._start(run, alone=False)

    def stop_host(self) -> None:
        if self._host is not None:
            self._host.stop()
        self._host = None

    def exchange(self, exchange: Exchange, warm: bool) -> None:
        arguments: dict[str, Any] = {"message_id": exchange.message_id}
        if warm:
            if self._host is None or not self._host.running:
                log.warning(
                    "station %s: its host ended; a new one starts, and the ClientApp's state is"
                    " lost",
                    self._station.name,
                )
                self.start_host(self._node_id)
            arguments["timeout"] = exchange.timeout
            run = self._make_run("courier", arguments, exchange.instruction)
        else:
            run = self._make_run("per_round", {**self._common, **arguments}, exchange.instruction)
        function = self._start(run, alone=warm)
        try:
            self._await(function, exchange.timeout, exchange.cancelled)
            if function.exit_code:
                raise self._failure(function, run.output_file)
            with payload.read(run.output_file) as result:
                result.save_bundle(exchange.reply)
        finally:
            function.stop()
            shutil.rmtree(run.input_file.parent, ignore_errors=True)

    def _make_run(
        self, method: str, arguments: Mapping[str, Any], bundle: Path | None = None
    ) -> Container:
        """Make what a vantage6 node makes for a run: a folder with the input in it."""
        folder = self._folder / f"{method}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        run = Container(folder / "input", folder / "output", self._job, self._station.databases)
        payload.write(run.input_file, {"method": method, "kwargs": arguments}, bundle)
        return run

    def _start(self, run: Container, alone: bool) -> Process:
        return Process(
            self._command,
            {**self._environment, **run.environment()},
            self.log,
            _FUNCTION_GRACE_SECONDS,
            alone,
        )

    def _await(self, function: Process, timeout: float, cancelled: threading.Event) -> None:
        give_up = time.monotonic() + timeout
        while not function.wait(_LOOK_SECONDS):
            if cancelled.is_set():
                raise Cancelled("Stopped while a station had a message.")
            if time.monotonic() > give_up:
                raise CarrierError(
                    f"Station {self._station.name} did not answer within {timeout:.0f} s."
                )

    def _failure(self, function: Process, output: Path) -> CarrierError:
        """Return why there is no answer, in the function's own words if it left any.

        Its log may tell of the data: that is no part of what the ServerApp gets to read.
        """
        name = self._station.name
        log.error("the end of the log of station %s:\n%s", name, function.log_tail())
        try:
            with payload.read(output) as result:
                return CarrierError(f"Station {name}: {result.fields['error']}")
        except (CarrierError, KeyError):
            return CarrierError(
                f"The partial function at station {name} ended with exit code"
                f" {function.exit_code}. The station's log says why."
            )
