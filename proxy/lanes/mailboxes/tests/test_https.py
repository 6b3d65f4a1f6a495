"""A lane over HTTPS: the station calls the central, and each knows the other by its key."""

import errno
import http.client
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.errors import UsageError
from proxy.lanes.letters.keys import KeyPair, Pairing
from proxy.lanes.mailboxes import https_server, tls
from proxy.lanes.mailboxes.https import CentralMailbox, StationMailbox
from proxy.lanes.mailboxes.mailbox import LetterTooLarge, Mailbox, MailboxUnreachable, Room
from proxy.lanes.mailboxes.tests.mailboxes import Made, MailboxContract, Usage, letter, taken
from proxy.lanes.urls import open_mailbox
from proxy.tests.helpers import noise, wait_until

CENTRAL, NORTH, SOUTH, STRANGER = (KeyPair.new() for _ in range(4))
KEYS = {"north": NORTH, "south": SOUTH}
Open = Callable[..., Mailbox]
# A server ends a handshake with an alert or by closing; which of them arrives is a race.
REFUSED = (ssl.SSLError, ConnectionError)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def opened(port: int) -> Iterator[Open]:
    """Opens mailboxes of one address, and closes them."""
    made: list[Mailbox] = []

    def open_one(
        at_station: bool,
        name: str = "north",
        own: KeyPair | None = None,
        other: KeyPair | None = None,
    ) -> Mailbox:
        own = own or (KEYS[name] if at_station else CENTRAL)
        other = other or (CENTRAL if at_station else KEYS[name])
        keys = Pairing(own, other.public)
        made.append(open_mailbox(f"https://127.0.0.1:{port}", name, at_station, keys))
        return made[-1]

    yield open_one
    for mailbox in made:
        mailbox.close()


class TestHttps(MailboxContract):
    @pytest.fixture
    def made(self, opened: Open) -> Made:
        return opened

    @pytest.fixture
    def station(self, central: Mailbox, made: Made) -> Mailbox:
        """It needs somebody to call."""
        return made(True)

    def test_what_was_sent_before_the_other_end_was_there_arrives(
        self, central: Mailbox, made: Made, tmp_path: Path
    ) -> None:
        """As long as the central is there: its letters end with it, as its exchanges do."""
        central.send(letter(tmp_path, b"early"))
        assert taken(made(True), tmp_path) == b"early"

    def test_a_letter_that_does_not_fit_at_the_central_waits_for_room_and_the_next_one_arrives(
        self,
        central: Mailbox,
        station: Mailbox,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """At the station, which tries again with pauses."""
        with monkeypatch.context() as patch:
            patch.setattr("shutil.disk_usage", lambda _: Usage(5_000_000))
            for _ in range(2):
                with pytest.raises(MailboxUnreachable):
                    station.send(letter(tmp_path, noise(3_000_000)))
            station.send(letter(tmp_path, b"small"))
            assert taken(central, tmp_path) == b"small"
        station.send(letter(tmp_path, noise(3_000_000)))
        assert taken(central, tmp_path) == noise(3_000_000)
        assert caplog.text.count("It waits for room") == 1

    def test_a_letter_that_will_never_fit_at_the_central_is_refused(
        self,
        central: Mailbox,
        station: Mailbox,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = Usage(5_000_000, 5_000_000)
        with monkeypatch.context() as patch:
            patch.setattr("shutil.disk_usage", lambda _: usage)
            with pytest.raises(MailboxUnreachable):
                station.send(letter(tmp_path, noise(3_000_000)))
            with pytest.raises(LetterTooLarge, match="does not fit"):
                taken(central, tmp_path)
        station.send(letter(tmp_path, b"after"))
        assert taken(central, tmp_path) == b"after"


def test_letters_to_a_central_are_not_copied_there_and_keep_their_room_until_they_are_taken(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "_kept", {})
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free=5_000_000))
    central, station = opened(False), opened(True)
    station.send(letter(tmp_path, noise(2_000_000)))
    with pytest.raises(MailboxUnreachable, match="507"):
        station.send(letter(tmp_path, noise(2_000_000)))
    name = central.receive(tmp_path / "got", 60.0)
    assert name is not None
    assert (tmp_path / "got").stat().st_nlink == 2
    with pytest.raises(MailboxUnreachable, match="507"):
        station.send(letter(tmp_path, noise(2_000_000)))
    central.done(name)
    for _ in range(2):
        station.send(letter(tmp_path, noise(2_000_000)))
        assert taken(central, tmp_path) == noise(2_000_000)


def test_all_stations_of_one_address_share_the_port(opened: Open, tmp_path: Path) -> None:
    ends = {name: (opened(False, name), opened(True, name)) for name in KEYS}
    for name, (central, station) in ends.items():
        central.send(letter(tmp_path, b"to " + name.encode()))
        station.send(letter(tmp_path, b"from " + name.encode()))
    for name, (central, station) in ends.items():
        assert taken(station, tmp_path) == b"to " + name.encode()
        assert taken(central, tmp_path) == b"from " + name.encode()
    ends["north"][0].close()
    ends["south"][1].check()
    with pytest.raises(MailboxUnreachable, match="403"):
        ends["north"][1].check()


def test_a_letter_that_comes_while_the_station_asks_arrives_at_once(
    opened: Open, tmp_path: Path
) -> None:
    central, station = opened(False), opened(True)
    assert station.receive(tmp_path / "got", 0.05) is None
    central.send(letter(tmp_path, b"new"))
    assert taken(station, tmp_path) == b"new"


def test_an_answer_without_letters_is_followed_by_another_question(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https_server, "HOLD_SECONDS", 0.05)
    central, station = opened(False), opened(True)
    for _ in range(3):
        assert station.receive(tmp_path / "got", 60.0) is None
    central.send(letter(tmp_path, b"new"))
    assert taken(station, tmp_path) == b"new"


def test_a_central_that_was_away_is_called_again(opened: Open, tmp_path: Path) -> None:
    first, station = opened(False), opened(True)
    first.send(letter(tmp_path, b"of the first"))
    assert taken(station, tmp_path) == b"of the first"
    first.close()
    with pytest.raises(MailboxUnreachable, match="cannot be used"):
        station.send(letter(tmp_path, b"meanwhile"))
    second = opened(False)
    second.send(letter(tmp_path, b"of the second"))
    got: list[bytes] = []

    def receive() -> bool:
        try:
            got.append(taken(station, tmp_path))
        except MailboxUnreachable:
            return False
        return True

    assert wait_until(receive)
    assert got == [b"of the second"]
    station.send(letter(tmp_path, b"again"))
    assert taken(second, tmp_path) == b"again"


def test_a_station_whose_key_is_not_known_is_refused(opened: Open, tmp_path: Path) -> None:
    central = opened(False)
    with pytest.raises(MailboxUnreachable, match="does not know this station's key"):
        opened(True, own=STRANGER).send(letter(tmp_path, b"of a stranger"))
    assert central.receive(tmp_path / "got", 0.05) is None


def test_a_station_cannot_pass_for_another_one_and_the_central_says_which_it_was(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(False, "south")
    central = opened(False, "north")
    with pytest.raises(MailboxUnreachable, match="403"):
        opened(True, "north", own=SOUTH).send(letter(tmp_path, b"of south"))
    assert central.receive(tmp_path / "got", 0.05) is None
    assert "from 127.0.0.1: it shows the key of south, and names another station" in caplog.text


def test_a_central_with_another_key_gets_nothing(opened: Open, tmp_path: Path) -> None:
    central = opened(False)
    with pytest.raises(MailboxUnreachable, match="is not the central whose key this station has"):
        opened(True, other=STRANGER).send(letter(tmp_path, b"secret"))
    assert central.receive(tmp_path / "got", 0.05) is None


def call(port: int, context: ssl.SSLContext, method: str, path: str, **more: object) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60.0)
    connection.request(method, path, **more)  # type: ignore[arg-type]
    return connection.getresponse().status


@pytest.fixture
def as_north(opened: Open, port: int) -> Callable[..., int]:
    """Calls a central as a station may that means no good."""
    opened(False)
    context = tls.context(NORTH, at_station=True)
    tls.trust(context, CENTRAL.public)
    return lambda method, path, **more: call(port, context, method, path, **more)


def test_who_shows_no_certificate_is_refused(opened: Open, port: int) -> None:
    opened(False)
    anybody = ssl._create_unverified_context()  # noqa: S323 - a stranger does not care
    with pytest.raises(REFUSED):
        call(port, anybody, "GET", "/v1/north")


def test_what_one_station_signs_for_another_ones_name_is_refused(opened: Open, port: int) -> None:
    """South signs a certificate for an issuer that is called as north is."""
    opened(False, "north")
    opened(False, "south")
    middle, leaf = KeyPair.new(), KeyPair.new()
    signed = tls._certificate(
        tls._name(NORTH.public),
        tls._name(SOUTH.public),
        middle.signing.public_key(),
        SOUTH.signing,
        None,
    )
    shown = tls._certificate(
        "end", tls._name(NORTH.public), leaf.signing.public_key(), middle.signing, None
    )
    context = chain(leaf.signing, shown, signed)
    with pytest.raises(REFUSED):
        call(port, context, "GET", "/v1/north")


def chain(key: Ed25519PrivateKey, *certificates: x509.Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    pem = serialization.Encoding.PEM
    path = Path("/dev/shm") / f"{id(key)}.pem"  # noqa: S108
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + b"".join(each.public_bytes(pem) for each in certificates)
    )
    context.load_cert_chain(path)
    path.unlink()
    return context


def test_a_letter_without_a_length_is_refused(as_north: Callable[..., int]) -> None:
    body = iter([b"some", b"more"])
    assert as_north("PUT", "/v1/north/letters/1", body=body, encode_chunked=True) == 411


def test_a_disk_that_is_full_meanwhile_is_said_without_a_traceback(
    as_north: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("asyncio.to_thread", full)
    assert as_north("PUT", "/v1/north/letters/1", body=b"some") == 507
    assert caplog.text == ""


@pytest.mark.parametrize(("size", "seconds"), [(100, 40.0), (1_000_000, 300.0)])
def test_what_lies_in_buffers_of_a_slow_link_is_waited_for(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, seconds: float
) -> None:
    opened(False)
    station = opened(True)
    pool, waited = station._pool, []  # type: ignore[attr-defined]
    call = pool.urlopen

    def watched(*arguments: object, **more: urllib3.Timeout) -> object:
        waited.append(more["timeout"].read_timeout)
        return call(*arguments, **more)

    monkeypatch.setattr(pool, "urlopen", watched)
    station.send(letter(tmp_path, noise(size)))
    assert waited == [seconds]


def test_a_letter_that_does_not_fit_is_refused_before_it_is_sent(
    as_north: Callable[..., int],
) -> None:
    headers = {"content-length": str(1 << 60)}
    assert as_north("PUT", "/v1/north/letters/1", headers=headers) == 507


class Unfinished:
    """A letter of which a byte never comes."""

    def __init__(self, port: int) -> None:
        context = tls.context(NORTH, at_station=True)
        tls.trust(context, CENTRAL.public)
        self._caller = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
        head = "PUT /v1/north/letters/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
        self._caller.sendall(head.encode() + b"12345")

    def cut(self) -> None:
        """Break it off."""
        # Nothing is waited for, so that the other end reads a reset.
        self._caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._caller.close()


def test_a_letter_that_breaks_off_is_none(
    opened: Open, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    central = opened(False)
    box = central._line.to_central  # type: ignore[attr-defined]
    unfinished = Unfinished(port)
    assert wait_until(lambda: any(box.folder.iterdir()))
    unfinished.cut()
    assert wait_until(lambda: not any(box.folder.iterdir()))
    opened(True).send(letter(tmp_path, b"whole"))
    assert taken(central, tmp_path) == b"whole"
    assert central.receive(tmp_path / "got", 0.2) is None
    assert caplog.text == ""


def test_a_station_that_breaks_off_a_letter_is_named_once(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    central, station = opened(False), cast("StationMailbox", opened(True))
    central.send(letter(tmp_path, noise(50_000_000)))
    station.asked("").close()
    assert wait_until(lambda: "station north broke off a letter when" in caplog.text)
    assert taken(station, tmp_path) == noise(50_000_000)
    assert len(caplog.messages) == 1


def test_a_letter_that_was_removed_meanwhile_is_said_without_a_traceback(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    central, station = opened(False), opened(True)
    central.send(letter(tmp_path, b"there"))
    for file in cast("CentralMailbox", central)._line.to_station.folder.iterdir():
        file.unlink()
    with pytest.raises(MailboxUnreachable, match="404, that letter is not there any more"):
        taken(station, tmp_path)
    assert caplog.text == ""


def test_a_station_cannot_fill_the_disk_with_letters_that_nobody_takes(
    as_north: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https_server, "_MOST_WAITING", 2)
    said = [as_north("PUT", f"/v1/north/letters/{number}", body=b"x") for number in range(3)]
    assert said == [204, 204, 503]


def test_letters_that_are_not_finished_count_as_well(
    opened: Open, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https_server, "_MOST_WAITING", 2)
    box = opened(False)._line.to_central  # type: ignore[attr-defined]
    callers = [Unfinished(port) for _ in range(2)]
    assert wait_until(lambda: len(list(box.folder.iterdir())) == 2)
    with pytest.raises(MailboxUnreachable, match="503"):
        opened(True).send(letter(tmp_path, b"one more"))
    for each in callers:
        each.cut()


@pytest.mark.parametrize("name", ["0", "x", "00000000-1", "..%2f..%2fetc", "-1"])
def test_what_is_no_letter_of_this_server_is_done_already(
    as_north: Callable[..., int], name: str
) -> None:
    assert as_north("DELETE", f"/v1/north/letters/{name}") == 204


def test_nothing_is_left_when_the_last_station_is_closed(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "letters"))
    (tmp_path / "letters").mkdir()
    central = opened(False)
    central.send(letter(tmp_path, noise(1000)))
    central.close()
    assert list((tmp_path / "letters").iterdir()) == []


def test_a_port_that_somebody_else_has_is_said(opened: Open, port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UsageError, match=f"cannot listen at 127.0.0.1:{port}"),
    ):
        opened(False)
    opened(False)


@pytest.mark.parametrize(
    "url",
    [
        *("https:x", "https://", "https://host/path", "https://u:secret@host:1"),
        *("https://host:99999", "https://host:1?propertes=x"),
        *("https://[::1:8443", "https://a..b:8443", f"https://{'a' * 70}.org:8443"),
        *("https://ho st:8443", "https://127.0.0.1 :8443", "https://host\u00a0x:8443"),
        *("https://ho\tst:8443", "https://\u2603:8443"),
        *("https://host:0", "https://host:1#x"),
    ],
)
def test_what_is_no_lane_over_https_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not a lane") as caught:
        open_mailbox(url, "north", True, Pairing(NORTH, CENTRAL.public))
    assert "secret" not in str(caught.value)


def test_a_lane_over_https_needs_keys() -> None:
    with pytest.raises(UsageError, match="needs keys"):
        open_mailbox("https://127.0.0.1:1", "north", True, None)


def test_a_package_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "proxy.lanes.mailboxes.https_server")
    with pytest.raises(UsageError) as caught:
        opened(False)
    assert "flower-v6[https]" in caught.value.hint


def test_a_letter_that_does_not_fit_at_the_central_is_left_later(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    central, station = opened(False), opened(True)

    def full(_: Path, target: Path) -> None:
        target.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("proxy.lanes.mailboxes.https.shutil.copyfile", full)
        with pytest.raises(MailboxUnreachable, match=r"to station north .* No space left"):
            central.send(letter(tmp_path, b"there"))
    assert not list(cast("CentralMailbox", central)._line.to_station.folder.iterdir())
    central.send(letter(tmp_path, b"there"))
    assert taken(station, tmp_path) == b"there"


def test_a_full_disk_of_the_station_is_not_the_centrals_fault(opened: Open, tmp_path: Path) -> None:
    central, station = opened(False), opened(True)
    central.send(letter(tmp_path, b"there"))
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        assert wait_until(lambda: station.receive(full, 0.1) is not None)
    assert taken(station, tmp_path) == b"there"
