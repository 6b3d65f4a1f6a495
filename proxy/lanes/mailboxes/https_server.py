"""What an `https:` lane's stations call at the central: one server for all of one address.

    GET    /v1/STATION                  204: the station is known here
    GET    /v1/STATION/letters?after=   200 the next letter, named by `X-Letter`; 204 none came
    PUT    /v1/STATION/letters/ID       204 a letter of the station is here
    DELETE /v1/STATION/letters/NAME     204 that letter to the station is done
    DELETE /v1/STATION/letters          204 what the station sent and nobody took is gone

GET of letters is a long poll. Whoever calls shows by TLS that it has the station's key
(`proxy.lanes.mailboxes.tls`). Letters lie in files, and end with this process, as its exchanges do.
"""

import asyncio
import logging
import os
import re
import ssl
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from proxy.errors import UsageError, reason_of
from proxy.lanes.letters.keys import KeyPair, PublicKeys
from proxy.lanes.mailboxes import tls
from proxy.lanes.mailboxes.mailbox import LetterTooLarge, Room
from proxy.system.process import Workspace

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

HOLD_SECONDS = 20.0
LETTER = "X-Letter"
_HANDSHAKE_SECONDS = 10.0
_SILENCE_SECONDS = 60.0
_END_SECONDS = 5.0
_CHUNK_BYTES = 1 << 18
# A central takes letters as they come. Who sends more than this meanwhile wants to fill its disk.
_MOST_WAITING = 64
_NAME = re.compile(r"([0-9a-f]{8})-(\d{1,18})")


class Box:
    """Letters on their way in one direction, in files, by number.

    Parameters
    ----------
    folder : Path
        Where; made if it is missing.

    Attributes
    ----------
    coming : int
        How many are being written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.room = Room(at_station=False)
        self.refused: LetterTooLarge | None = None
        self.told: Callable[[], object] = lambda: None
        self._changed = threading.Condition()
        self._letters: dict[int, Path] = {}
        self._count = 0
        self.coming = 0

    def __len__(self) -> int:
        """How many lie here, or are being written."""
        return len(self._letters) + self.coming

    def part(self) -> Path:
        """Return a new file for a letter that is being written."""
        return self.folder / f"{uuid.uuid4().hex}.part"

    def add(self, part: Path) -> None:
        """Add a letter that is whole now."""
        with self._changed:
            self._count += 1
            path = self.folder / f"{self._count}.letter"
            Room.move(part, path)
            self._letters[self._count] = path
            self._changed.notify_all()
        self.told()

    def refuse(self, error: LetterTooLarge) -> None:
        """Let the reader know that there is a letter that it will not get."""
        with self._changed:
            self.refused = error
            self._changed.notify_all()

    def after(self, number: int, seconds: float = 0.0) -> tuple[int, Path] | None:
        """Return the next letter after one, and wait for it so long."""

        def following() -> list[int]:
            return [later for later in self._letters if later > number]

        with self._changed:
            self._changed.wait_for(lambda: following() or self.refused, seconds)
            if self.refused is not None:
                error, self.refused = self.refused, None
                raise error
            names = following()
            return (min(names), self._letters[min(names)]) if names else None

    def remove(self, number: int) -> None:
        """Remove a letter, if it is there."""
        with self._changed:
            if path := self._letters.pop(number, None):
                path.unlink(missing_ok=True)
                Room.let_go(path)

    def clear(self) -> None:
        """Remove all letters."""
        for number in list(self._letters):
            self.remove(number)


@dataclass(frozen=True)
class Line:
    """A station that may call, and the letters to and from it."""

    other: PublicKeys
    to_station: Box
    to_central: Box
    wake: asyncio.Event


class Server:
    """Listens at an address, in a thread of its own, until closed.

    Parameters
    ----------
    host : str
        The address of an interface of this machine, or its name.
    port : int
        The port.
    own : KeyPair
        The central's keys.

    Raises
    ------
    UsageError
        If it cannot listen there.
    """

    def __init__(self, host: str, port: int, own: KeyPair) -> None:
        self.lines: dict[str, Line] = {}
        self._life = uuid.uuid4().hex[:8]
        self._ending = ExitStack()
        self._folder = self._ending.enter_context(Workspace()).path
        self._tls = tls.context(own, at_station=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="https", daemon=True)
        self._thread.start()
        try:
            self._runner, self._listening = self._do(_listen(self._routes(), host, port, self._tls))
        except (OSError, OverflowError) as error:
            self._end()
            raise UsageError(
                f"The lane cannot listen at {host}:{port}: {reason_of(error)}.",
                "Give an address of this machine, and a port that is free, as https://HOST:PORT.",
            ) from error

    def add(self, station: str, other: PublicKeys) -> Line:
        """Let a station in; raises `UsageError` if there is one of that name."""
        if station in self.lines:
            raise UsageError(f"Station {station} has a lane at this address already.")
        to_station, to_central = (
            Box(self._folder / station / box) for box in ("to-station", "to-central")
        )
        line = Line(other, to_station, to_central, asyncio.Event())
        line.to_station.told = lambda: self._loop.call_soon_threadsafe(line.wake.set)
        tls.trust(self._tls, other)
        self.lines[station] = line
        return line

    def remove(self, station: str) -> None:
        """Let a station in no more."""
        line = self.lines.pop(station)
        self._loop.call_soon_threadsafe(line.wake.set)
        line.to_station.clear()
        line.to_central.clear()

    def close(self) -> None:
        """Stop listening."""
        self._do(self._stop())
        self._end()

    def _do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        done: Future[Answer] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result()

    async def _stop(self) -> None:
        self._listening.close()
        server = self._runner.server
        transports = [connection.transport for connection in server.connections] if server else []
        await self._runner.cleanup()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for transport in transports:
            if transport is not None:
                # Of one that is closed Debian's Python 3.11.2 raises it (`asyncio/sslproto.py`).
                with suppress(AttributeError):
                    transport.abort()  # else TLS waits for the other end's goodbye
        await asyncio.sleep(0)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()
        self._ending.close()

    # What stations call

    def _routes(self) -> web.Application:
        app = web.Application()
        station = "/v1/{station}"
        app.router.add_get(station, self._served(_known))
        app.router.add_get(f"{station}/letters", self._served(self._next))
        app.router.add_delete(f"{station}/letters", self._served(_wiped))
        app.router.add_put(f"{station}/letters/{{name}}", self._served(_taken))
        app.router.add_delete(f"{station}/letters/{{name}}", self._served(self._done))
        return app

    def _served(
        self, answer: Callable[[Line, web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Have a call answered, if whoever calls has the key of the station that it names."""

        async def handle(request: web.Request) -> web.StreamResponse:
            line = self.lines.get(request.match_info["station"])
            session = request.get_extra_info("ssl_object")
            shown = session.getpeercert(binary_form=True)
            if line is None or not tls.signed_by(shown, line.other):
                # Without the name, which the caller chooses: else it could fill the log.
                log.warning(
                    "refused a call from %s: it shows the key of %s, and names another station."
                    " Give a station the same name and key at both ends.",
                    request.remote,
                    self._owner(shown),
                )
                raise web.HTTPForbidden(text="this central has no lane to that station and key")
            return await answer(line, request)

        return handle

    def _owner(self, certificate: bytes) -> str:
        owners = (n for n, line in self.lines.items() if tls.signed_by(certificate, line.other))
        return next(owners, "a station that has left")

    async def _next(self, line: Line, request: web.Request) -> web.StreamResponse:
        station, number = (
            request.match_info["station"],
            self._number(request.query.get("after", "")),
        )
        loop = asyncio.get_running_loop()
        until = loop.time() + HOLD_SECONDS
        while True:
            line.wake.clear()
            letter = line.to_station.after(number)
            seconds = until - loop.time()
            if letter is not None:
                break
            if seconds <= 0 or self.lines.get(station) is not line:
                return web.Response(status=204)
            try:
                async with asyncio.timeout(seconds):
                    await line.wake.wait()
            except TimeoutError:
                continue
        number, path = letter
        return await _given(path, f"{self._life}-{number}", station, request)

    async def _done(self, line: Line, request: web.Request) -> web.Response:
        line.to_station.remove(self._number(request.match_info["name"]))
        return web.Response(status=204)

    def _number(self, name: str) -> int:
        """Return a letter's number; 0 for one of another life of this server, or for none."""
        named = _NAME.fullmatch(name)
        return int(named[2]) if named and named[1] == self._life else 0


async def _listen(
    app: web.Application, host: str, port: int, context: ssl.SSLContext
) -> tuple[web.AppRunner, asyncio.Server]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    if (protocol := runner.server) is None:
        raise AssertionError  # it is there once the runner is set up
    # `TCPSite` has no limit for the time that a stranger may take to show who it is.
    listening = await asyncio.get_running_loop().create_server(
        protocol,
        *(host, port),
        ssl=context,
        ssl_handshake_timeout=_HANDSHAKE_SECONDS,
        backlog=128,
    )
    return runner, listening


async def _known(*_: object) -> web.Response:
    return web.Response(status=204)


async def _wiped(line: Line, _: web.Request) -> web.Response:
    line.to_central.clear()
    return web.Response(status=204)


async def _given(path: Path, name: str, station: str, request: web.Request) -> web.StreamResponse:
    """Give a letter to its station.

    Not by a `FileResponse`: while asyncio sends a file over TLS, it reads nothing, so it does not
    hear that the station is gone, and warns of each chunk of the rest (CPython 3.11,
    `_SendfileFallbackProtocol` in `asyncio/base_events.py`, `eof_received` in
    `asyncio/sslproto.py`).
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:  # it was removed just now
        raise web.HTTPNotFound(text="that letter is not there any more") from error
    with file:
        size, sent = os.fstat(file.fileno()).st_size, 0
        answer = web.StreamResponse(headers={LETTER: name})
        answer.content_length = size
        try:
            await answer.prepare(request)
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                await answer.write(chunk)
                sent += len(chunk)
        except ConnectionError:
            log.warning(
                "station %s broke off a letter when %d of %d bytes were sent, or its connection was"
                " cut",
                *(station, sent, size),
            )
    return answer


async def _taken(line: Line, request: web.Request) -> web.Response:
    """Take a letter of a station."""
    box, size = line.to_central, request.content_length
    if size is None:
        raise web.HTTPLengthRequired
    if len(box) >= _MOST_WAITING:
        raise web.HTTPServiceUnavailable(text="many letters of this station wait already")
    part = box.part()
    try:
        has_room = box.room.is_there(part, size)
    except LetterTooLarge as error:
        box.refuse(error)
        raise web.HTTPInsufficientStorage(text=error.message) from error
    if not has_room:  # the station tries again
        raise web.HTTPInsufficientStorage(text="there is no room for a letter now")
    box.coming += 1
    try:
        with part.open("wb") as file:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    chunk = await request.content.read(_CHUNK_BYTES)
                if not chunk:
                    break
                await asyncio.to_thread(file.write, chunk)
        if part.stat().st_size != size:
            raise web.HTTPBadRequest(text="a letter is shorter than it says")
        box.add(part)
    except (ConnectionError, TimeoutError) as error:
        raise web.HTTPBadRequest(text="a letter breaks off") from error
    except OSError as error:  # the station tries again
        raise web.HTTPInsufficientStorage(text=reason_of(error)) from error
    finally:
        box.coming -= 1
        part.unlink(missing_ok=True)
        Room.let_go(part)
    return web.Response(status=204)
