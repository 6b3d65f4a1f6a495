"""A central that was killed is gone on from, on real SuperLinks and SuperNodes."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import (
    COMMAND,
    PATIENCE_SECONDS,
    Federation,
    descendants,
    finish,
    installed,
    start,
    superlink,
    wait_until,
    with_command_line,
)
from proxy.central.events import Stage
from proxy.fleet.messages import ErrorCode
from proxy.system.process import Process

_STAGES = (Stage.PULLED, Stage.DRAINED, Stage.SENT, Stage.ANSWERED, Stage.PUSHED)
# Not before the journal heard that a message was pulled: then nobody knows of it.
_MOMENTS = [(stage, moment) for stage in _STAGES for moment in ("before", "after")][1:]


@contextmanager
def attached(federation: Federation, folder: Path, *kill: str) -> Iterator[Process]:
    """A station of a SuperLink, with a journal."""
    options = (
        *("attach", "--superlink", federation.address, "--stations", "1"),
        *("--flower-env", str(federation.flower.folder), "--journal", str(folder / "journal")),
    )
    log = folder / "attach.log"
    if kill:
        command = [sys.executable, "-m", "integration_tests.killed_at", *kill, *options]
        process = Process(command, os.environ, log, grace=20.0)
    else:
        process = start(*options, log=log)
    try:
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize(
    "release",
    [
        "",
        pytest.param("1.15.2", marks=pytest.mark.thorough),
        pytest.param("1.22.0", marks=pytest.mark.thorough),
        pytest.param("1.32.0", marks=pytest.mark.thorough),
    ],
)
def test_attach_that_is_killed_between_any_two_events_has_each_message_answered_once(
    flower: Flower, tmp_path: Path, release: str
) -> None:
    moments = _MOMENTS if release else _MOMENTS[::3]
    flower = installed(release) if release else flower
    result, trained = tmp_path / "result.json", tmp_path / "journal-of-faults"
    with superlink(flower, tmp_path / "superlink") as federation:
        app = "legacy" if release == "1.15.2" else "faults"
        submission = federation.submit(
            app,
            result=result,
            journal=trained,
            pid_dir=tmp_path,
            num_stations=1,
            num_server_rounds=len(moments) + 1,
            hold=f"0-{len(moments) + 1}",
        )
        for stage, moment in moments:
            with attached(federation, tmp_path, stage, moment, "1") as bridge:
                assert bridge.wait(PATIENCE_SECONDS), f"it did not die {moment} {stage}"
                assert bridge.exit_code == 137, bridge.log_tail(40)
        with attached(federation, tmp_path) as bridge:
            hangs = tmp_path / f"0-{len(moments) + 1}"
            wait_until(hangs.exists, "the ClientApp hangs")
            (tmp_path / f"0-{len(moments) + 1}.go").touch()
            finish(submission)
    assert submission.exit_code == 0, submission.log_tail(40)
    rounds = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for each in rounds for reply in each["replies"]] == [None] * len(rounds)
    lines = [line.split() for line in trained.read_text().splitlines()]
    assert len({message for message, _, _ in lines}) == len(lines) == len(rounds)


def test_a_message_that_a_clientapp_had_when_all_was_killed_is_not_trained_twice(
    flower: Flower, tmp_path: Path
) -> None:
    result, trained = tmp_path / "result.json", tmp_path / "trained"
    with superlink(flower, tmp_path / "superlink") as federation:
        submission = federation.submit(
            "faults",
            result=result,
            journal=trained,
            pid_dir=tmp_path,
            num_stations=1,
            num_server_rounds=2,
            hold="0-1",
        )
        with attached(federation, tmp_path) as bridge:
            wait_until((tmp_path / "0-1").exists, "the ClientApp hangs")
            command = f"{COMMAND} attach --superlink {federation.address}"
            (pid,) = with_command_line(descendants(os.getpid()), command)
            os.kill(pid, signal.SIGKILL)
            assert bridge.wait(PATIENCE_SECONDS)
        with attached(federation, tmp_path):
            finish(submission)
    first, second = json.loads(result.read_text())["rounds"]
    assert [reply["error"] for reply in first["replies"]] == [ErrorCode.MESSAGE_UNAVAILABLE]
    assert "does not train twice" in first["replies"][0]["reason"]
    assert [reply["error"] for reply in second["replies"]] == [None]
    assert len(trained.read_text().splitlines()) == 2
