"""Whatever a command gets, it answers with a sentence: no traceback, no internal error."""

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from algorithm.cli import main
from algorithm.tests.fake_flower import make_app, make_flower
from proxy.client import ClientProxy
from proxy.tests.helpers import some
from proxy.transport.server import FleetServer
from proxy.vantage6.v4.testing import FakeServer

# Names of files that `workplace` makes, or does not make.
PATHS = (
    "missing",
    "missing/below",
    "a-folder",
    "a-folder/",
    "empty",
    "binary",
    "empty/below-a-file",
    "loop",
    "unreadable",
    "~nobody-of-that-name/x",
    "\udcff\udcfe",
    "ü\u202e\x1b[31m",
    "x" * 300,
    "x/" * 3000,
    "",
    "-",
)
NUMBERS = ("0", "-1", "1e400", "9" * 5000, "1e308", "nan", "inf", "", "٣", "\udcff", "2147483648")
SHORT = ("", " ", "\udcff", "\x1b]0;title\x07", "a\nb", "../..", "=", '"', "{}")
TEXTS = (*SHORT, "x" * 100_000)
ADDRESSES = ("", ":", "host", "host:", ":0", "127.0.0.1:99999", "127.0.0.1:-1", "\udcff:1", "[::1")

# What makes each command complete, but for the part that is tried.
ATTACH = ("attach", "--superlink", "SUPERLINK", "--supernodes", "per-round")
RECORD = ("record", "--superlink", "SUPERLINK", "--listen", "127.0.0.1:0")
RUN = ("run", "an-app", "--flower-env", "flower", "--supernodes", "per-round", "--stations", "1")
IMAGE = ("image", "an-app", "--tag", "a/tag", "--flwr", "1.41.0")
TABLE: Sequence[tuple[tuple[str, ...], Sequence[str]]] = [
    (("run", "{}"), PATHS),
    ((*RUN, "--output", "{}"), PATHS),
    ((*RUN, "--tape", "{}"), PATHS),
    (("run", "an-app", "--flower-env", "{}"), PATHS),
    (
        ("run", "an-app", "--flower-env", "flower", "--stations", "{}", "--tape", "missing/x"),
        NUMBERS,
    ),
    (
        ("run", "an-app", "--flower-env", "flower", "--deadline", "{}", "--tape", "missing/x"),
        NUMBERS,
    ),
    ((*ATTACH, "--flower-env", "flower", "--root-certificates", "{}"), PATHS),
    ((*ATTACH, "--flower-env", "flower", "--keys", "{}"), PATHS),
    ((*ATTACH, "--flower-env", "flower", "--tape", "{}"), PATHS),
    ((*ATTACH, "--flower-env", "{}"), PATHS),
    ((*ATTACH, "--flower-env", "flower", "--stations", "{}"), NUMBERS),
    (("attach", "--flower-env", "flower", "--superlink={}"), ADDRESSES),
    ((*ATTACH, "--collaboration", "{}", "--vantage6", "image"), TEXTS),
    ((*ATTACH, "--vantage6", "{}"), TEXTS),
    (("keys", "{}", "--output", "keys", "--flower-env", "flower"), (*TEXTS, *NUMBERS)),
    (("keys", "north", "--output", "{}", "--flower-env", "flower"), PATHS),
    (("keys", "north", "--output", "keys", "--flower-env", "{}"), PATHS),
    (("keys", "{}", "--output", "keys", "--lane"), (*TEXTS, *NUMBERS)),
    (("keys", "north", "--output", "{}", "--lane"), PATHS),
    (("keys", "{}", "--show"), PATHS),
    (("kafka", "topics", "--lane={}"), TEXTS),
    ((*ATTACH, "--flower-env", "flower", "--events-topic={}"), TEXTS),
    (("station", "{}"), PATHS),
    (("station", "--check", "{}"), PATHS),
    (("attach", "--superlink", "SUPERLINK", "--unsealed", "--lane={}"), TEXTS),
    (("attach", "--superlink", "SUPERLINK", "--lane", "a=folder:x", "--lane-keys", "{}"), PATHS),
    (("image", "{}", "--tag", "a/tag", "--flwr", "1.41.0"), PATHS),
    ((*IMAGE, "--store", "{}"), PATHS),
    (("image", "an-app", "--tag={}", "--flwr", "1.41.0"), TEXTS),
    (("image", "an-app", "--tag", "a/tag", "--flwr={}"), TEXTS),
    (("submit", "image", "--password-file", "{}"), PATHS),
    (
        ("submit", "image", "--run-config", "{}"),
        (*SHORT, "missing.toml", "~nobody-of-that-name/x.toml"),
    ),
    (("submit", "image", "--organization-key", "{}", "--collaboration", "Secret"), PATHS),
    (("submit", "image", "--output", "{}"), PATHS),
    (("submit", "image", "--detach", "--organizations", "{}"), TEXTS),
    (("submit", "image", "--detach", "--collaboration={}"), TEXTS),
    (("submit", "--detach", "--", "{}"), TEXTS),
    (("submit", "image", "--detach", "--deadline={}"), NUMBERS),
    (("submit", "image", "--detach", "--idle-limit={}"), NUMBERS),
    (
        ("submit", "image", "--server={}"),
        (*TEXTS, "http://", "http://[", "https://\udcff", "ftp://x"),
    ),
    (("submit", "image", "--username={}"), TEXTS),
    (("submit", "image", "--mfa-code={}"), TEXTS),
    (("watch", "--", "{}"), NUMBERS),
    (("watch", "1", "--password-file", "{}"), PATHS),
    (("fetch", "--output", "out", "--", "{}"), NUMBERS),
    (("fetch", "1", "--output", "{}"), PATHS),
    ((*RECORD, "{}"), PATHS),
    (("record", "--superlink={}", "--listen", "127.0.0.1:0", "tape"), ADDRESSES),
    (("record", "--superlink", "SUPERLINK", "--listen={}", "tape"), ADDRESSES),
    ((*RECORD, "tape", "--about={}"), TEXTS),
    (("replay", "{}"), PATHS),
    (("compat", "--flower-env", "{}"), PATHS),
    (("compat", "--flower-env", "flower", "--live", "--tapes", "{}"), ("empty", "empty/x", "~x/y")),
    (("compat", "1.41.0", "--cache", "{}"), ("empty", "empty/x")),
]
ALL_CASES = [
    pytest.param([part.replace("{}", tried) for part in command], id=f"{number}-{tried[:20]!a}")
    for number, (command, values) in enumerate(TABLE)
    for tried in values
    # Else argparse takes it for an option.
    if not (tried.startswith("-") and "--" not in command and "{}" in command)
]
# One of seven still tries nearly every command and every kind of input.
CASES = some(ALL_CASES, 7)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """A vantage6 server whose tasks end at once, without a result."""
    with FakeServer(lambda task: b"") as server:
        server.add_collaboration("Secret", [1, 2], encrypted=True)
        yield server


@pytest.fixture(scope="module")
def superlink() -> Iterator[str]:
    """The address of what takes SuperNodes, as a SuperLink does."""
    server = FleetServer(ClientProxy(node_id=7), "http")
    yield server.address
    server.close()


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    """A folder with an app, an environment that passes for Flower's, and what is none of these."""
    for folder in ("a-folder", "programs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "unreadable").touch(mode=0)
    make_app(tmp_path / "an-app")
    make_flower(tmp_path / "flower")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))  # no Docker
    for name, value in {
        "SERVER": server.url,
        "USERNAME": "ada",
        "PASSWORD": server.api.password,
        "COLLABORATION": "Study",
    }.items():
        monkeypatch.setenv(f"FLOWER_V6_{name}", value)
    monkeypatch.setattr("algorithm.cli.compat.released", lambda: ["1.40.0"])
    # What goes on until it is stopped is stopped at once.
    monkeypatch.setattr("signal.pause", lambda: os.kill(os.getpid(), signal.SIGTERM))


@pytest.fixture(autouse=True)
def _as_if_in_a_process_of_its_own() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    loggers = logging.getLogger().handlers[:]
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
    logging.getLogger().handlers[:] = loggers


@pytest.mark.timeout(60)
@pytest.mark.parametrize("arguments", CASES)
def test_a_bad_input_gets_a_sentence(
    arguments: list[str], superlink: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main([superlink if part == "SUPERLINK" else part for part in arguments])
    except SystemExit as exit_:  # argparse refuses a command line
        code = int(exit_.code or 0)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "internal error" not in shown.err
    assert "[Errno" not in shown.err
    assert "\x1b" not in shown.err
    assert code in {0, 1, 2, 128 + signal.SIGTERM}
    if code:
        assert (shown.out + shown.err).strip()
        assert len(shown.err) < 200_000
