"""Standard streams that are closed, full, of a poor encoding, or that nobody reads."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from algorithm.tests.fake_flower import COMPLETED, make_app, make_flower, set_run
from proxy.vantage6.v4.testing import FakeServer

PROGRAM = [sys.executable, "-P", "-m", "algorithm.cli"]
FAILED = [{"run-id": "42", "status": "finished:failed"}]
RED, SMILE = "\\033[91m", "😀"


class Workplace:
    """A folder with an app, and an environment that passes for Flower's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flower = make_flower(folder / "flower")
        self.output = folder / "output"
        options = ["--supernodes", "per-round", "--stations", "1", "--output", str(self.output)]
        app = make_app(folder / "an-app")
        self.run = [*PROGRAM, "run", str(app), "--flower-env", str(self.flower), *options]

    def report(self) -> dict[str, object]:
        """Return what is in run.json."""
        found: dict[str, object] = json.loads((self.output / "run.json").read_text())
        return found


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def ended(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its streams are pipes that hold any character."""
    return subprocess.run(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_a_character_that_cannot_be_encoded_costs_no_message(
    workplace: Workplace, variables: dict[str, str]
) -> None:
    set_run(workplace.flower, f"echo 'no data {SMILE}'", FAILED)
    shown = ended(workplace.run, **variables)
    assert shown.returncode == 1
    assert "no data \\U0001f600" in shown.stdout
    assert "no data \\U0001f600" in shown.stderr
    assert "Traceback" not in shown.stdout + shown.stderr
    assert SMILE in str(workplace.report()["log"])


def test_a_file_name_of_any_bytes_is_shown(tmp_path: Path) -> None:
    shown = ended([*PROGRAM, "replay", os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.tape")])
    assert shown.returncode == 1
    assert "\\udcff\\udcfe.tape cannot be read" in shown.stdout


def test_without_a_terminal_there_are_no_colours_anywhere(workplace: Workplace) -> None:
    set_run(workplace.flower, f"printf '{RED}no data\\n'", FAILED)
    shown = ended(workplace.run)
    assert "no data" in shown.stdout
    assert "no data" in shown.stderr
    assert "\x1b" not in shown.stdout + shown.stderr
    assert "\x1b" not in str(workplace.report())


@pytest.mark.parametrize("prefix", [[], ["nohup"]])
def test_a_reader_that_goes_away_ends_the_command_in_order(
    prefix: list[str], workplace: Workplace
) -> None:
    set_run(workplace.flower, "while :; do echo training; sleep 0.01; done", FAILED)
    with subprocess.Popen(
        [*prefix, *workplace.run], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        assert command.wait(60) == 128 + signal.SIGPIPE
        assert command.stderr.read() == ""
    assert workplace.report()["status"] == "cancelled"


def test_a_reader_of_the_help_may_go_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    shown = subprocess.run(
        [*PROGRAM, "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(workplace: Workplace, closed: str) -> None:
    shown = ended(["sh", "-c", f'exec "$@" {closed}', "sh", *workplace.run])
    assert shown.returncode == 0
    assert workplace.report()["status"] == "completed"
    assert "training" in (workplace.output / "serverapp.log").read_text()
    assert shown.stderr == ""


def test_with_a_closed_standard_input_nobody_is_asked_for_a_password() -> None:
    with FakeServer() as server:
        login = ["--server", server.url, "--username", "ada"]
        shown = ended(["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "watch", "1", *login])
    assert shown.returncode == 1
    assert "No password of ada is given" in shown.stderr


# What cannot be written


def test_the_reason_of_a_failed_run_is_said_also_where_it_cannot_be_written_down(
    workplace: Workplace,
) -> None:
    meanwhile = f"mkdir {workplace.output}/run.json"
    set_run(workplace.flower, f"{meanwhile}; echo no data", FAILED)
    shown = ended(workplace.run)
    assert shown.returncode == 1
    assert "The run failed" in shown.stderr
    assert "no data" in shown.stderr
    assert "cannot be written: Is a directory" in shown.stdout


def test_a_completed_run_that_cannot_be_written_down_is_a_failure(workplace: Workplace) -> None:
    set_run(workplace.flower, f"mkdir {workplace.output}/run.json", [COMPLETED])
    shown = ended(workplace.run)
    assert shown.returncode == 1
    assert "cannot be written: Is a directory" in shown.stderr


def test_an_earlier_outcome_that_cannot_be_removed_is_said_before_anything_starts(
    workplace: Workplace,
) -> None:
    (workplace.output / "run.json").mkdir(parents=True)
    shown = ended(workplace.run)
    assert shown.returncode == 1
    assert "run.json cannot be removed: Is a directory" in shown.stderr


@pytest.mark.parametrize("script", ["echo training", "echo no data"])
def test_a_standard_output_that_is_full_costs_neither_the_run_nor_its_reason(
    workplace: Workplace, script: str
) -> None:
    if "no data" in script:
        set_run(workplace.flower, script, FAILED)
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run(
            workplace.run, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert shown.returncode == 1
    if "no data" in script:
        assert "The run failed" in shown.stderr
    else:
        assert "The output cannot be written: No space left on device" in shown.stderr
        assert workplace.report()["status"] == "completed"


def test_a_standard_error_that_is_full_leaves_the_exit_code(workplace: Workplace) -> None:
    set_run(workplace.flower, "echo no data", FAILED)
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run(
            workplace.run, stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert shown.returncode == 1
    assert "no data" in str(workplace.report()["log"])
