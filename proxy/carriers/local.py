"""Starts functions as processes: every station is a folder and some processes on this machine.

A station's partial function runs as a subprocess under the contract of a vantage6 container: input
file, output file, a temporary folder that the job shares at that station, databases. What runs here
is what runs in a container; only the container is missing, and bundles are linked, not copied.
"""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.calls import Call, CourierCall
from proxy.carriers import Ending, Exchange, FunctionFailed
from proxy.errors import Cancelled, CarrierError
from proxy.platforms import LOCAL
from proxy.system.process import Process
from proxy.vantage6 import payload
from proxy.vantage6.container import Container, Database
from proxy.vantage6.v4.container import written

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_NO_DATABASES: Mapping[str, Database] = {}


class LocalStarter:
    """Implements `proxy.carriers.Starter` with subprocesses.

    Parameters
    ----------
    stations : Sequence[str]
        The stations' names.
    command : Sequence[str]
        The program that a container would run.
    environment : Mapping[str, str]
        Its environment variables, besides the contract's.
    folder : Path
        An existing folder, for everything that the stations write.
    databases : Mapping[str, Database]
        What a vantage6 node would let its containers use, by label.
    """

    job = None

    def __init__(
        self,
        stations: Sequence[str],
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        databases: Mapping[str, Database] = _NO_DATABASES,
    ) -> None:
        self._command = command
        self._environment = environment
        self._folder = folder
        self._databases = databases
        for station in stations:
            self._job_folder(station).mkdir(parents=True, exist_ok=True)
            # Of a process that was killed.
            for stale in (folder / station).glob("*-????????/input"):
                shutil.rmtree(stale.parent, ignore_errors=True)

    def _job_folder(self, station: str) -> Path:
        return self._folder / station / "job"

    def online(self, station: str) -> bool:  # noqa: ARG002
        """Whether a station can be reached: on this machine all can."""
        return True

    def leave(self, station: str) -> None:
        """Stations are told by ending their functions."""

    def room_for_reply(self, station: str, exchange: Exchange) -> int | None:  # noqa: ARG002
        """Messages and replies may have any size."""
        return None

    def find(self, station: str, task: str) -> None:
        """Return None: processes end with the one that started them."""

    def start(
        self,
        station: str,
        title: str,  # noqa: ARG002
        call: Call,
        bundle: Path | None,
        ends_at: float,  # noqa: ARG002
        cancelled: threading.Event,  # noqa: ARG002
    ) -> "_Function":
        """Start a function with what a vantage6 node makes for a run: a folder with its input."""
        home = self._folder / station
        folder = home / f"{call.method}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        run = Container(
            folder / "input", folder / "output", self._job_folder(station), self._databases
        )
        if bundle is None:
            payload.write(run.input_file, call.task())
        else:
            payload.write_linked(run.input_file, call.task(), bundle)
        process = Process(
            self._command,
            {**self._environment, **written(run)},
            home / "functions.log",
            LOCAL.kill_seconds,
            alone=isinstance(call, CourierCall),
        )
        return _Function(station, process, run)


class _Function:
    """Implements `proxy.carriers.Function` with a process."""

    task = ""

    def __init__(self, station: str, process: Process, run: Container) -> None:
        self._station = station
        self._process = process
        self._run = run
        self._started = time.monotonic()

    def save_reply(self, path: Path, ends_at: float, cancelled: threading.Event) -> None:
        """Wait for the bundle that the function leaves; see `Function.save_reply`."""
        while not self._process.wait(_LOOK_SECONDS):
            if cancelled.is_set():
                raise Cancelled("Stopped while a station had a message.")
            if time.monotonic() > ends_at:
                raise CarrierError(
                    f"Station {self._station} did not answer within"
                    f" {time.monotonic() - self._started:.0f} s."
                )
        if self._process.exit_code:
            # The log may tell of the data: it is no part of what the ServerApp gets to read.
            log.error(
                "the end of the log of station %s:\n%s", self._station, self._process.log_tail()
            )
            if failure := self._failure():
                raise failure
            raise CarrierError(
                f"The partial function at station {self._station} ended with exit code"
                f" {self._process.exit_code}. The station's log says why."
            )
        with payload.read(self._run.output_file) as result:
            result.save_bundle(path)

    def ending(self, doubtful: bool, cancelled: threading.Event) -> Ending | None:  # noqa: ARG002
        """Return how the function ended; it is known at once."""
        if self._process.running:
            return None
        failure = self._failure()
        status = f"exit code {self._process.exit_code}"
        return Ending(status, failure.message if failure else "")

    def stop(self) -> None:
        """End the function, and remove its input and output."""
        self._process.stop()
        shutil.rmtree(self._run.input_file.parent, ignore_errors=True)

    def _failure(self) -> FunctionFailed | None:
        """Return the error that the function left, if it left one."""
        try:
            with payload.read(self._run.output_file) as result:
                error, kind = result.fields.get("error"), result.fields.get("code", "")
        except CarrierError:
            return None
        return FunctionFailed(str(error), str(kind)) if error else None
