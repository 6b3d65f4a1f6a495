"""The folder that a job's containers share: what one leaves, the others find, whole."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from algorithm.station.job import Job
from proxy.tests.helpers import wait_until

SECONDS = 60.0


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


def test_a_courier_waits_for_the_disk_only_where_the_folder_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    waits = []
    for settle in (False, False, True):
        synced.clear()
        Job(tmp_path / "job", settle)
        waits.append(bool(synced))
    assert waits == [True, False, True]


# Messages


def test_a_message_that_has_an_instruction_but_no_answer_waits(job: Job) -> None:
    message = job.message("1f")
    assert job.waiting() == []
    message.instruction.touch()
    assert [each.message_id for each in job.waiting()] == ["1f"]
    message.reply.write_bytes(b"bundle")
    assert job.waiting() == []


def test_an_empty_answer_is_removed_and_the_message_waits(job: Job) -> None:
    message = job.message("1f")
    message.instruction.touch()
    message.reply.touch()
    assert not message.answered()
    assert not message.reply.exists()
    assert [each.message_id for each in job.waiting()] == ["1f"]


def test_another_container_finds_what_one_left(job: Job) -> None:
    job.message("1f").instruction.write_bytes(b"bundle")
    (found,) = Job(job.folder).waiting()
    assert found.instruction.read_bytes() == b"bundle"
    assert Job(job.folder).message("1f").folder == found.folder


def test_a_message_that_was_taken_stays_taken(job: Job) -> None:
    assert not job.message("1f").taken
    job.message("1f").take()
    assert Job(job.folder).message("1f").taken


@pytest.mark.parametrize("message_id", ["", "..", "../2a", "/etc", "a b", "a.b", "\0"])
def test_what_cannot_be_a_message_id_leads_nowhere(job: Job, message_id: str) -> None:
    with pytest.raises(ValueError, match="no message id"):
        job.message(message_id)


def test_only_the_latest_reply_is_kept_but_who_was_taken_is_not_forgotten(job: Job) -> None:
    first, second = job.message("1f"), job.message("2f")
    for message in (first, second):
        message.take()
        message.reply.touch()
    job.forget_answered_but(second)
    assert not first.folder.exists()
    assert first.taken
    assert second.reply.exists()


def test_a_message_that_still_waits_is_not_forgotten(job: Job) -> None:
    waiting, answered = job.message("1f"), job.message("2f")
    waiting.instruction.touch()
    job.forget_answered_but(answered)
    assert [message.message_id for message in job.waiting()] == ["1f"]


def test_two_containers_do_not_work_on_one_message_at_once(job: Job) -> None:
    entered, second_entered = threading.Event(), threading.Event()

    def second() -> None:
        entered.wait(SECONDS)
        other = Job(job.folder)
        with other.working_on(other.message("1f")):
            second_entered.set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        with job.working_on(job.message("1f")):
            entered.set()
            with job.working_on(job.message("2f")):  # another message may be worked on
                assert not second_entered.wait(0.2)
        waiting.result(SECONDS)
    assert second_entered.is_set()


# The host


def test_a_job_has_one_host_at_a_time(job: Job) -> None:
    other = Job(job.folder)
    assert not other.has_host()
    with job.hosting() as first:
        assert first
        assert other.has_host()
        with other.hosting() as second:
            assert not second
        assert other.has_host()
    assert not other.has_host()


def test_a_host_that_was_killed_is_no_host(job: Job) -> None:
    script = (
        "import sys, time; from pathlib import Path; from algorithm.station.job import Job\n"
        "with Job(Path(sys.argv[1])).hosting() as alone:\n"
        "    print(alone, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-P", "-c", script, str(job.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "True\n"
        assert job.has_host()
        host.kill()
    assert wait_until(lambda: not job.has_host())


def test_a_folder_has_one_name_for_good_and_a_copy_of_it_another_one(tmp_path: Path) -> None:
    name = Job(tmp_path / "job").instance
    assert name.isalnum()
    assert Job(tmp_path / "job").instance == name
    shutil.copytree(tmp_path / "job", tmp_path / "copy")
    copied = Job(tmp_path / "copy").instance
    assert copied != name
    assert Job(tmp_path / "copy").instance == copied
    (tmp_path / "job").rename(tmp_path / "moved")
    assert Job(tmp_path / "moved").instance == name


@pytest.mark.parametrize("content", ["", "5f", "5f 0"])
def test_a_name_that_is_not_this_folders_is_replaced(tmp_path: Path, content: str) -> None:
    Job(tmp_path)
    (tmp_path / "instance").write_text(content)
    assert len(Job(tmp_path).instance) == 32
