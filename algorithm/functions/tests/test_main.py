"""What the program in the container does around a function: its variables, and its errors."""

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from algorithm import __main__ as program
from algorithm.flower.node_config import node_config
from algorithm.functions.job_end import when_job_ends
from algorithm.tests.node import encoded, error_in
from proxy import platforms
from proxy.errors import BridgeError, CarrierError, UsageError
from proxy.platforms import VANTAGE6_4, Platform
from proxy.tests.helpers import wait_until
from proxy.vantage6 import payload
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload
from proxy.vantage6.v4.container import written
from proxy.vantage6.v4.testing import Asked, FakeServer

Function = Callable[[Container, Payload], None]


class Run:
    """A container's run, in this process.

    Attributes
    ----------
    output : Path
        Its output file.
    environment : dict[str, str]
        Its environment variables; a test may add to them.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.output = folder / "output"
        container = Container(folder / "input", self.output, folder)
        self.input = container.input_file
        self.is_asked("per_round", {})
        self.environment = {"PATH": "/usr/bin:/bin", **written(container)}
        self._folder = folder
        self._monkeypatch = monkeypatch
        # Nothing of it may stay with the tests' own process.
        monkeypatch.setattr(os, "environ", self.environment)
        monkeypatch.setattr("signal.signal", lambda *_: None)
        monkeypatch.setattr("logging.basicConfig", lambda **_: None)

    def has_token(self) -> None:
        """Run in a vantage6 node's container."""
        (self._folder / "token").write_text("token")
        said = {"TOKEN_FILE": str(self._folder / "token"), "HOST": "http://proxy", "PORT": "8080"}
        self.environment |= {name: encoded(value) for name, value in said.items()}
        self.environment["API_PATH"] = encoded("")

    def is_asked(self, method: object, kwargs: object) -> None:
        """Have a task's input."""
        payload.write(self.input, {"method": method, "kwargs": kwargs})

    def of(self, function: Function) -> int:
        """Run a function; returns the exit code."""
        self._monkeypatch.setattr("algorithm.functions.per_round.main", function)
        return program.main()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def raising(error: Exception) -> Function:
    def function(*_: object) -> None:
        raise error

    return function


# Errors


def test_a_function_that_ends_well_leaves_what_it_leaves(run: Run) -> None:
    assert run.of(lambda container, _: payload.write(container.output_file, {"served": 3})) == 0
    assert run.output.read_text() == '{"served": 3}'


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CarrierError("The host died."), "The host died."),
        (UsageError("It cannot be 7.", "Give 8."), "It cannot be 7. Give 8."),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
@pytest.mark.parametrize("made_by_the_node", [False, True])
def test_an_error_is_the_logs_last_line_and_left_as_the_result(
    run: Run,
    error: Exception,
    said: str,
    made_by_the_node: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if made_by_the_node:
        run.output.touch()
    assert run.of(raising(error)) == 1
    assert capsys.readouterr() == (f"flower-v6 | failed: {said}\n", "")
    assert error_in(run.output) == str(error)


def test_an_error_is_the_logs_last_line_also_where_no_result_can_be_left(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run.output.symlink_to("/dev/full")
    assert run.of(raising(CarrierError("The host died."))) == 1
    assert capsys.readouterr() == ("flower-v6 | failed: The host died.\n", "")


def test_what_an_error_quotes_is_cleaned_in_the_log_and_in_the_result(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.of(raising(CarrierError("\x1b]0;title\x07It died.\x1b[2J\udcff"))) == 1
    assert capsys.readouterr().out == "flower-v6 | failed: It died.\\udcff\n"
    assert error_in(run.output) == "It died.\\udcff"


def test_what_a_function_logs_is_cleaned(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(
        "logging.basicConfig", lambda **options: handlers.extend(options["handlers"])
    )
    assert run.of(lambda *_: None) == 0
    (handler,) = handlers
    record = logging.LogRecord("x", logging.ERROR, "", 1, "%s", ("a\x1b[2J\n2026 forged",), None)
    assert handler.format(record).endswith(" ERROR a\n    2026 forged")


def test_an_outcome_that_is_there_is_not_replaced_by_the_error_after_it(run: Run) -> None:
    def function(container: Container, _: Payload) -> None:
        payload.write(container.output_file, {"status": "failed", "cause": "no station is left"})
        raise BridgeError("The run failed.")

    assert run.of(function) == 1
    assert run.output.read_text() == '{"status": "failed", "cause": "no station is left"}'


def test_an_output_that_cannot_be_written_is_still_an_error_in_the_log(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run.output.mkdir()
    assert run.of(raising(CarrierError("The host died."))) == 1
    assert "The host died." in capsys.readouterr().out


def test_an_error_that_nobody_thought_of_is_left_too_and_what_it_says_stays_in_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    assert run.of(raising(KeyError("patient 17"))) == 1
    assert "patient 17" in caplog.text
    assert "An internal error ended the function: KeyError" in error_in(run.output)
    assert "patient 17" not in error_in(run.output)


@pytest.mark.parametrize("method", program.FUNCTIONS)
@pytest.mark.parametrize(
    "kwargs", [[], "x", 1, {"message_id": []}, {"node_config": {}}, {"mode": 1}, {"deadline": "x"}]
)
def test_every_function_leaves_an_error_when_its_arguments_are_wrong(
    run: Run, method: str, kwargs: object
) -> None:
    run.is_asked(method, kwargs)
    assert program.main() == 1
    assert "internal error" not in error_in(run.output)


@pytest.mark.parametrize("method", [None, [], {}, 7, "train", "../host", "__main__"])
def test_what_is_no_function_is_refused(run: Run, method: object) -> None:
    run.is_asked(method, {})
    assert program.main() == 1
    assert "which does not exist" in error_in(run.output)


def test_an_input_that_is_nested_too_deeply_is_an_error(run: Run) -> None:
    run.input.write_text('{"kwargs": ' + "[" * 100_000)
    assert program.main() == 1
    assert error_in(run.output)


# The node's variables


def test_what_the_owner_set_is_there_as_it_was_meant_and_the_images_own_as_it_is(run: Run) -> None:
    run.has_token()
    run.environment |= {"FLOWER_V6_ALLOWED_FABS": encoded("a,b"), "HTTP_PROXY": encoded("http://p")}
    run.environment |= {"FLOWER_V6_MANIFEST": "/app/manifest.json", "LANG": "C.UTF-8"}
    seen: dict[str, str] = {}
    assert run.of(lambda *_: seen.update(os.environ)) == 0
    assert (seen["FLOWER_V6_ALLOWED_FABS"], seen["HTTP_PROXY"]) == ("a,b", "http://p")
    assert (seen["FLOWER_V6_MANIFEST"], seen["LANG"]) == ("/app/manifest.json", "C.UTF-8")
    assert seen["PATH"] == "/usr/bin:/bin"


def test_on_the_users_own_machine_variables_are_left_as_they_are(run: Run) -> None:
    run.environment["WORD"] = encoded("a,b")
    seen: dict[str, str] = {}
    assert run.of(lambda *_: seen.update(os.environ)) == 0
    assert seen["WORD"] == encoded("a,b")


# Another platform


@pytest.mark.parametrize("encodes", [False, True])
def test_a_new_platform_is_a_row_and_functions_do_as_it_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, encodes: bool
) -> None:
    row = VANTAGE6_4._replace(
        variable="MADE_UP",
        partial_has_token=False,
        encodes_environment=encodes,
        station_owns_config=not encodes,
        kill_seconds=30.0,
    )
    monkeypatch.setattr(platforms, "PLATFORMS", (row, *platforms.PLATFORMS))
    run.environment |= {"MADE_UP": "1", "WORD": encoded("a,b")}
    seen: list[tuple[Platform, str, str]] = []

    def function(container: Container, _: Payload) -> None:
        threads = threading.active_count()
        when_job_ends(container, lambda: pytest.fail("the job is not over"))
        assert threading.active_count() == threads
        try:
            config = node_config("device=1", container)
        except UsageError as error:
            config = error.message
        seen.append((container.platform, os.environ["WORD"], config))

    assert run.of(function) == 0
    ((platform, word, config),) = seen
    assert platform is row
    assert word == ("a,b" if encodes else encoded("a,b"))
    assert config == (
        "device=1" if encodes else "The task's node config 'device=1' says more than the partition."
    )


def test_a_central_function_that_is_refused_leaves_tables_that_say_why(run: Run) -> None:
    run.is_asked("central", [1])
    assert program.main() == 1
    left = json.loads(run.output.read_text())
    assert (
        left["metrics"][0]["error"] == left["rounds"][0]["error"] == " ".join(left["error"].split())
    )


def test_a_host_learns_of_the_end_of_a_central_whose_log_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.vantage6.server._MOST_ANSWER_BYTES", 10_000)
    monkeypatch.setattr("algorithm.functions.job_end._ASK_SECONDS", 0.01)
    over = threading.Event()
    with FakeServer(lambda _: None) as fake:
        central = fake.start_central()
        host = fake.create_task(Asked("host: Beta", "an/image", 1, 2, {"method": "host"}), central)
        central.log = "round 1\n" * 10_000
        container = Container(
            *(tmp_path, tmp_path, tmp_path),
            platform=VANTAGE6_4,
            token=fake.container_token(host),
            server=fake.proxy_url,
        )
        when_job_ends(container, over.set)
        assert wait_until(lambda: f"GET task/{central.id}/status" in fake.requests)
        assert not over.is_set()
        central.status = "completed"
        assert over.wait(20.0)
