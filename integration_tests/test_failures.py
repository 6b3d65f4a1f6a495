"""Whatever fails at a station is one error reply for exactly that message; the run goes on."""

import json
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from integration_tests.harness import (
    APPS,
    Federation,
    ancestor,
    descendants,
    finish,
    run_config,
    start,
    wait_until,
    with_command_line,
)
from proxy.fleet.messages import ErrorCode
from proxy.system.process import Process

# Longer than anything else here takes: who sleeps so long does not wake up.
_FOR_EVER = 600.0


class Disturbed(NamedTuple):
    """A run in which the ClientApp of partition 0 hangs in the second of three rounds."""

    folder: Path

    @property
    def config(self) -> dict[str, object]:
        """The run config of the app `faults` for that."""
        return {
            "journal": self.folder / "journal",
            "pid_dir": self.folder,
            "result": self.folder / "result.json",
            "sleep_seconds": _FOR_EVER,
            "sleep_partition": 0,
            "sleep_round": 2,
        }

    def hanging_clientapp(self) -> int:
        """Wait for the ClientApp that hangs; returns its process id."""
        pid = self.folder / "0-2"
        wait_until(pid.exists, "the ClientApp hangs")
        return int(pid.read_text())

    def replies(self, number: int) -> list[dict[str, Any]]:
        """Return the two stations' replies in a round, as the ServerApp saw them."""
        rounds = json.loads((self.folder / "result.json").read_text())["rounds"]
        replies: list[dict[str, Any]] = rounds[number - 1]["replies"]
        return replies

    def check(self, code: ErrorCode) -> None:
        """Check that one message failed in the expected way, and nothing else."""
        failed, other = self.replies(2)
        assert failed["error"] == code, failed
        assert other["error"] is None
        assert [reply["error"] for reply in self.replies(3)] == [None, None]
        trained = [line.split()[0] for line in (self.folder / "journal").read_text().splitlines()]
        assert len(trained) == len(set(trained)) == 6


@pytest.fixture(scope="module")
def disturbed(
    warm: Federation, per_round: Federation, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Disturbed]:
    """Four such runs at once: a SuperNode, a SuperExec and a ClientApp are killed, one is late."""
    runs = {
        name: Disturbed(tmp_path_factory.mktemp(name))
        for name in ("supernode", "superexec", "clientapp", "deadline")
    }
    submissions: list[Process] = [
        warm.submit("faults", **runs["supernode"].config),
        start(
            *("run", str(APPS / "faults"), "--run-config", run_config(**runs["superexec"].config)),
            log=runs["superexec"].folder / "run.log",
        ),
        per_round.submit("faults", **runs["clientapp"].config),
        start(
            *("run", str(APPS / "faults"), "--deadline", "70"),
            *("--run-config", run_config(**runs["deadline"].config)),
            log=runs["deadline"].folder / "run.log",
        ),
    ]
    supernode = ancestor(runs["supernode"].hanging_clientapp(), "flower-supernode")
    os.kill(supernode, signal.SIGKILL)
    os.kill(runs["clientapp"].hanging_clientapp(), signal.SIGKILL)
    clientapp = runs["superexec"].hanging_clientapp()
    os.kill(ancestor(clientapp, "flower-superexec"), signal.SIGKILL)
    os.kill(clientapp, signal.SIGKILL)
    for submission in submissions:
        finish(submission)
        assert submission.exit_code == 0, submission.log_tail(40)
    return runs


def test_a_killed_supernode_costs_one_reply(disturbed: dict[str, Disturbed]) -> None:
    disturbed["supernode"].check(ErrorCode.NODE_UNAVAILABLE)


def test_a_killed_superexec_costs_one_reply(disturbed: dict[str, Disturbed]) -> None:
    disturbed["superexec"].check(ErrorCode.NODE_UNAVAILABLE)
    assert "SuperExec ended" in disturbed["superexec"].replies(2)[0]["reason"]


def test_a_killed_clientapp_costs_one_reply(disturbed: dict[str, Disturbed]) -> None:
    """From 1.41 on the SuperNode itself notices, after a minute."""
    disturbed["clientapp"].check(ErrorCode.CLIENT_APP_CRASHED)


def test_a_clientapp_past_the_deadline_costs_one_reply(disturbed: dict[str, Disturbed]) -> None:
    late = disturbed["deadline"]
    late.check(ErrorCode.REPLY_MESSAGE_UNAVAILABLE)
    assert "within the deadline of 70.0 s" in late.replies(2)[0]["reason"]
    assert "within the deadline of 70.0 s" in (late.folder / "run.log").read_text()


def test_a_run_whose_serverapp_nothing_starts_any_more_ends(tmp_path: Path) -> None:
    run = start("run", str(APPS / "faults"), "--output", str(tmp_path), log=tmp_path / "run.log")
    superexecs: list[int] = []

    def started() -> bool:
        superexecs.extend(with_command_line(descendants(run.pid), "flower-superexec"))
        return bool(superexecs)

    wait_until(started, "the SuperLink's SuperExec is started")
    os.kill(superexecs[0], signal.SIGKILL)
    finish(run)
    assert run.exit_code == 1
    assert "The SuperLink's SuperExec ended" in run.log_tail()
