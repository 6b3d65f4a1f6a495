"""A mailbox at the central itself: stations call it, `https://HOST:PORT`, where they may.

Bundles over HTTP, with a long poll for those to the station. Both ends know each other by the keys
that `flower-v6 keys --lane` makes (`tls`); `https_server` says what is called. Letters lie at the
central. If that ends, they are gone; so are its exchanges.
"""

import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import urllib3

from proxy.errors import UsageError
from proxy.lanes.letters.keys import Pairing
from proxy.lanes.mailboxes import tls
from proxy.lanes.mailboxes.mailbox import LetterTooLarge, Mailbox, MailboxUnreachable, Room

if TYPE_CHECKING:
    from proxy.lanes.mailboxes.https_server import Server

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 20.0
# Longer than the central holds a call that asks for letters (`HOLD_SECONDS` in `https_server`).
_SILENCE_SECONDS = 40.0
# A letter is given up when for so long the central takes nothing of it.
_SEND_SECONDS = 60.0
# What was sent may lie in buffers on the way; a slow link takes as long to empty them.
_DRAIN_SECONDS = 300.0
_CHUNK_BYTES = 1 << 18
_LETTER = "X-Letter"


def https_mailbox(url: str, station: str, at_station: bool, keys: Pairing | None) -> Mailbox:
    """Return one end's mailbox; the central's listens from now on.

    Parameters
    ----------
    url : str
        What follows `https:` in `https://HOST:PORT`.
    station, at_station, keys
        As for `proxy.lanes.urls.open_mailbox`.

    Raises
    ------
    UsageError
        If the URL is none, there are no keys, nobody can listen there, or a package is missing.
    """
    host, port = _parsed(url)
    if keys is None:
        raise UsageError(
            "A lane over HTTPS needs keys: by them its two ends know each other.",
            "`flower-v6 keys --lane` makes them.",
        )
    if at_station:
        return StationMailbox(host, port, station, keys)
    return CentralMailbox(host, port, station, keys)


class StationMailbox:
    """Implements `proxy.lanes.mailboxes.mailbox.Mailbox` by calling the central."""

    def __init__(self, host: str, port: int, station: str, keys: Pairing) -> None:
        context = tls.context(keys.own, at_station=True)
        tls.trust(context, keys.other)
        self._at = f"{host}:{port}"
        self._base = f"/v1/{station}"
        self._room = Room(at_station=True)
        self._pool = urllib3.HTTPSConnectionPool(
            *(host, port),
            maxsize=4,
            block=False,
            ssl_context=context,
            assert_hostname=False,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SILENCE_SECONDS),
            blocksize=_CHUNK_BYTES,
        )
        self._poll: _Poll | None = None
        self._newest = ""

    def send(self, letter: Path) -> None:
        """Leave a letter; see `Mailbox.send`."""
        size = letter.stat().st_size
        with letter.open("rb") as file:
            self._call(
                *("PUT", f"/letters/{uuid.uuid4().hex}"),
                body=file,
                headers={"content-length": str(size)},
                # While a body is sent, urllib3 waits for as long as for a connection.
                timeout=urllib3.Timeout(
                    connect=_SEND_SECONDS,
                    read=_DRAIN_SECONDS if size > _CHUNK_BYTES else _SILENCE_SECONDS,
                ),
            )

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for the next letter; see `Mailbox.receive`."""
        if self._poll is None:
            self._poll = _Poll(self, self._newest)
        self._poll.join(seconds)
        if self._poll.is_alive():
            return None  # it goes on, and the next call hears of it
        poll, self._poll = self._poll, None
        answer = poll.answer()
        if answer.status == 204:
            answer.release_conn()
            return None
        name, size = answer.headers.get(_LETTER, ""), int(answer.headers["content-length"])
        try:
            self._room.is_there(into, size)
        except LetterTooLarge:
            answer.close()
            self._newest = name
            self.done(name)
            raise
        try:
            with into.open("wb") as file:
                for chunk in self._body(answer):
                    file.write(chunk)
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        self._newest = name
        return name

    def done(self, name: str) -> None:
        """Remove a letter; see `Mailbox.done`."""
        self._call("DELETE", f"/letters/{name}")

    def postpone(self, name: str) -> None:  # noqa: ARG002 - all that are not done come again
        """Hand out a letter again; see `Mailbox.postpone`."""
        self._newest = ""

    def wipe(self) -> None:
        """Remove what was sent from here; see `Mailbox.wipe`."""
        self._call("DELETE", "/letters")

    def check(self) -> None:
        """Find out whether it can be used; see `Mailbox.check`."""
        self._call("GET", "")

    def close(self) -> None:
        """Let go of connections."""
        self._pool.close()

    def asked(self, newest: str) -> urllib3.BaseHTTPResponse:
        """Return the answer to a long poll, of which no body was read."""
        return self._answer("GET", f"/letters?after={newest}", preload_content=False)

    def _body(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        chunks = answer.stream(_CHUNK_BYTES)
        while True:
            with self._reaching():
                chunk = next(chunks, b"")
            if not chunk:
                return
            yield chunk

    def _call(self, method: str, path: str, **more: Any) -> None:
        self._answer(method, path, **more)

    def _answer(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        with self._reaching():
            answer = self._pool.urlopen(method, self._base + path, redirect=False, **more)
            if answer.status not in (200, 204):
                body = answer.read(1000).decode(errors="replace")
                answer.close()
                raise self._unreachable(f"it answers {answer.status}, {body}")
            return answer

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (urllib3.exceptions.SSLError, urllib3.exceptions.ProtocolError) as error:
            # With TLS 1.3 a server refuses a key by closing what was open already.
            raise self._unreachable(
                "it closes the connection; if that goes on, it does not know this station's key, or"
                f" is not the central whose key this station has ({error})"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, reason: str) -> MailboxUnreachable:
        return MailboxUnreachable(f"The central at {self._at} cannot be used: {reason}.")


class _Poll(threading.Thread):
    """A long poll under way."""

    def __init__(self, mailbox: StationMailbox, newest: str) -> None:
        super().__init__(name="long poll", daemon=True)
        self._mailbox, self._newest = mailbox, newest
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._mailbox.asked(self._newest)
        except Exception as error:  # the caller's, whatever it is
            self._error = error

    def answer(self) -> urllib3.BaseHTTPResponse:
        """Return what came of it, once it is over."""
        if self._answer is None:
            raise self._error or AssertionError
        return self._answer


class CentralMailbox:
    """Implements `mailbox.Mailbox` by being called: all of one address share a server.

    What was handed out is not handed out again: nobody succeeds a central at its letters.
    """

    _sharing = threading.Lock()
    _servers: dict[tuple[str, int], "Server"] = {}  # noqa: RUF012 - those of this process

    def __init__(self, host: str, port: int, station: str, keys: Pairing) -> None:
        self._station = station
        self._address = host, port
        self._newest = 0
        self._postponed: set[int] = set()
        self._closed = False
        with self._sharing:
            server = self._servers.get(self._address)
            if server is None:
                server = _server_class()(host, port, keys.own)
                self._servers[self._address] = server
            self._server, self._line = server, server.add(station, keys.other)

    def send(self, letter: Path) -> None:
        """Leave a letter; see `Mailbox.send`."""
        part = self._line.to_station.part()
        try:
            shutil.copyfile(letter, part)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise MailboxUnreachable(
                f"A letter to station {self._station} cannot be written: {error.strerror}."
            ) from error
        self._line.to_station.add(part)

    def receive(self, into: Path, seconds: float) -> str | None:
        """Wait for the next letter; see `Mailbox.receive`."""
        box = self._line.to_central
        letter = box.after(self._newest, 0.0 if self._postponed else seconds)
        if letter is None and self._postponed:
            oldest = min(self._postponed)
            self._postponed.remove(oldest)
            letter = box.after(oldest - 1)
        if letter is None:
            return None
        number, path = letter
        into.unlink(missing_ok=True)
        try:
            os.link(path, into)
        except OSError:  # on another disk, or where files have one name
            shutil.copyfile(path, into)
        self._newest = max(self._newest, number)
        return str(number)

    def done(self, name: str) -> None:
        """Remove a letter; see `Mailbox.done`."""
        self._line.to_central.remove(int(name))

    def postpone(self, name: str) -> None:
        """Hand out a letter again; see `Mailbox.postpone`."""
        self._postponed.add(int(name))

    def wipe(self) -> None:
        """Remove what was sent from here; see `Mailbox.wipe`."""
        self._line.to_station.clear()

    def check(self) -> None:
        """Do nothing: the server listens."""

    def close(self) -> None:
        """Stop listening, unless other stations still call there."""
        with self._sharing:
            if self._closed:
                return
            self._closed = True
            self._server.remove(self._station)
            if not self._server.lines:
                del self._servers[self._address]
                self._server.close()


def _parsed(url: str) -> tuple[str, int]:
    """Return host and port."""
    try:
        parts = urlsplit(f"https:{url}")
        host, port = parts.hostname or "", 443 if parts.port is None else parts.port
        host.encode("idna")  # no name of a host has an empty label, or one of 64 letters
        urllib3.util.parse_url(f"https:{url}")  # nor a sign that urllib3 refuses when it calls
    except ValueError:
        host, port = "", 0
    blank = " " in url or not url.isprintable()  # `urlsplit` leaves out some
    if not host or port == 0 or blank or _has_more(parts):
        raise UsageError(
            "What follows https: is not a lane.",
            "Write https://HOST:PORT: where the central listens, and where its stations call it.",
        )
    return host, port


def _has_more(parts: SplitResult) -> bool:
    """Whether a URL has more than a host and a port."""
    return bool(parts.username or parts.path.strip("/") or parts.query or parts.fragment)


def _server_class() -> "type[Server]":
    try:
        from proxy.lanes.mailboxes.https_server import Server  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise UsageError(
            "At the central, lanes over HTTPS need the package aiohttp, which is not installed.",
            "Install flower-v6[https].",
        ) from error
    return Server
