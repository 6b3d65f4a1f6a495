"""Stations as folders and processes: the contract of a container, without one.

A small program stands in for `python -m algorithm`; what it does is in the message's id.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from proxy.calls import Settings
from proxy.carriers import Exchange
from proxy.carriers.local import LocalStarter
from proxy.carriers.tasks import TaskCarrier
from proxy.errors import Cancelled, CarrierError
from proxy.tests.helpers import runs, wait_until
from proxy.vantage6.container import Database

SECONDS = 60.0

PROGRAM = """
import json, os, sys, time
from pathlib import Path
from proxy.vantage6 import payload
from proxy.contracts import container_of

container = container_of(os.environ)
job = container.shared_folder
with payload.read(container.input_file) as task:
    method, arguments = task.fields["method"], task.fields["kwargs"]
    about = {
        "method": method,
        "arguments": arguments,
        "databases": {label: [each.uri, each.type] for label, each in container.databases.items()},
        "greeting": os.environ.get("GREETING"),
        "pid": os.getpid(),
    }
    message_id = arguments.get("message_id", "host")
    part = job / f"{message_id}.part"
    part.write_text(json.dumps(about))
    part.rename(job / f"{message_id}.json")
    if message_id == "fails":
        sys.exit("there is no data")
    if message_id == "refuses":
        payload.write(container.output_file, {"error": "The station is closed."})
        sys.exit("it is the holidays")
    if message_id in ("hangs", "host"):
        time.sleep(600)
    if message_id == "garbage":
        container.output_file.write_text("no JSON")
    elif message_id != "silent":
        task.save_bundle(job / "bundle")
        (job / "reply").write_bytes(b"the reply to " + (job / "bundle").read_bytes())
        payload.write(container.output_file, {}, job / "reply")
"""


class Carried:
    """A carrier whose stations run the program above."""

    def __init__(self, folder: Path, warm: bool, names: tuple[str, ...] = ("north",)) -> None:
        self.folder = folder
        self.warm = warm
        self.cancelled = threading.Event()
        program = folder / "program.py"
        program.write_text(PROGRAM)
        databases = {"default": Database("/data.csv", "csv")}
        environment = {"PATH": os.environ["PATH"], "GREETING": "hello"}
        command = [sys.executable, "-P", str(program)]
        starter = LocalStarter(names, command, environment, folder, databases)
        stations = {name: Settings(f"name='{name}'") for name in names}
        self.carrier = TaskCarrier(starter, stations, 600.0 if warm else None)

    def exchange(self, message_id: str, station: str = "north", timeout: float = SECONDS) -> bytes:
        """Bring "the instruction" to a station; returns what comes back."""
        instruction, reply = (
            self.folder / f"{which}-{station}" for which in ("instruction", "reply")
        )
        instruction.write_bytes(b"the instruction")
        self.carrier.exchange(
            station, Exchange(message_id, "", instruction, reply, timeout, self.cancelled)
        )
        return reply.read_bytes()

    def noted(self, message_id: str = "host", station: str = "north") -> Any:
        """Return what the program noted of a run."""
        path = self.folder / station / "job" / f"{message_id}.json"
        assert wait_until(path.exists)
        return json.loads(path.read_text())


@pytest.fixture(params=[True, False], ids=["warm", "per-round"])
def carried(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Carried]:
    carried = Carried(tmp_path, warm=request.param)
    if carried.warm:
        carried.carrier.prepare("north", 7)
    yield carried
    carried.carrier.close()


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Carried]:
    carried = Carried(tmp_path, warm=True, names=("north", "south"))
    yield carried
    carried.carrier.close()


# An exchange


def test_a_bundle_reaches_the_station_and_the_answer_comes_back(carried: Carried) -> None:
    assert carried.exchange("1f") == b"the reply to the instruction"


def test_the_function_gets_what_it_needs(carried: Carried) -> None:
    carried.exchange("1f")
    noted = carried.noted("1f")
    if carried.warm:
        assert noted["method"] == "courier"
        assert noted["arguments"].keys() == {"message_id", "timeout", "host"}
        assert noted["arguments"]["message_id"] == "1f"
        assert 0.0 < noted["arguments"]["timeout"] <= SECONDS
    else:
        assert noted["method"] == "per_round"
        assert noted["arguments"] == {
            "message_id": "1f",
            "mode": "bridge",
            "node_config": "name='north'",
        }
    assert noted["databases"] == {"default": ["/data.csv", "csv"]}
    assert noted["greeting"] == "hello"


def test_nothing_of_an_exchange_stays_but_what_the_station_keeps(carried: Carried) -> None:
    carried.exchange("1f")
    left = {path.name.partition("-")[0] for path in (carried.folder / "north").iterdir()}
    assert left <= {"job", "functions.log", "host"}


def test_a_function_that_fails_is_an_error_whose_details_stay_at_the_station(
    carried: Carried, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CarrierError) as caught:
        carried.exchange("fails")
    assert "north ended with exit code 1" in caught.value.message
    assert "there is no data" not in str(caught.value)
    assert "there is no data" in caplog.text


def test_a_function_that_says_itself_why_it_failed_is_quoted_and_its_log_is_not(
    carried: Carried, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CarrierError) as caught:
        carried.exchange("refuses")
    assert str(caught.value) == "north: The station is closed."
    assert "it is the holidays" in caplog.text


@pytest.mark.parametrize("message_id", ["silent", "garbage"])
def test_a_function_without_a_sound_answer_is_an_error(carried: Carried, message_id: str) -> None:
    with pytest.raises(CarrierError):
        carried.exchange(message_id)


def test_a_function_that_takes_too_long_is_ended_and_an_error(carried: Carried) -> None:
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(carried.exchange, "hangs", timeout=0.5)
        with pytest.raises(CarrierError, match="north did not answer within"):
            exchange.result(SECONDS)
    # It may have been ended before it noted anything.
    note = carried.folder / "north" / "job" / "hangs.json"
    assert not note.exists() or not runs(carried.noted("hangs")["pid"])


def test_a_function_that_nobody_wants_any_more_is_ended(carried: Carried) -> None:
    with ThreadPoolExecutor(1) as pool:
        exchange = pool.submit(carried.exchange, "hangs")
        pid = carried.noted("hangs")["pid"]
        carried.cancelled.set()
        with pytest.raises(Cancelled):
            exchange.result(SECONDS)
    assert not runs(pid)


def test_an_exchange_after_trouble_works_as_if_nothing_had_been(carried: Carried) -> None:
    with pytest.raises(CarrierError):
        carried.exchange("fails")
    assert carried.exchange("1f") == b"the reply to the instruction"


# Warm hosts


def test_a_host_starts_when_the_node_id_is_known(warm: Carried) -> None:
    warm.carrier.prepare("north", 7)
    noted = warm.noted()
    assert noted["method"] == "host"
    assert noted["arguments"]["node_id"] == "7"
    assert noted["arguments"]["node_config"] == "name='north'"
    assert runs(noted["pid"])


def test_a_host_is_replaced_when_the_node_id_changes(warm: Carried) -> None:
    warm.carrier.prepare("north", 7)
    first = warm.noted()["pid"]
    (warm.folder / "north" / "job" / "host.json").unlink()
    warm.carrier.prepare("north", 8)
    assert not runs(first)
    assert warm.noted()["arguments"]["node_id"] == "8"


def test_a_host_that_ended_is_started_again_with_the_next_message(warm: Carried) -> None:
    warm.carrier.prepare("north", 7)
    os.kill(warm.noted()["pid"], 9)
    (warm.folder / "north" / "job" / "host.json").unlink()
    assert wait_until(lambda: host_is_noticed_to_be_gone(warm))
    assert warm.noted()["arguments"]["node_id"] == "7"


def host_is_noticed_to_be_gone(warm: Carried) -> bool:
    """Exchange messages until that has brought a new host."""
    warm.exchange(f"a{time.monotonic_ns()}")
    return (warm.folder / "north" / "job" / "host.json").exists()


def test_all_hosts_end_when_the_carrier_is_closed(warm: Carried) -> None:
    for station in ("north", "south"):
        warm.carrier.prepare(station, 7)
    pids = [warm.noted(station=station)["pid"] for station in ("north", "south")]
    warm.carrier.close()
    assert not any(runs(pid) for pid in pids)


def test_no_host_starts_per_round(tmp_path: Path) -> None:
    carried = Carried(tmp_path, warm=False)
    carried.carrier.prepare("north", 7)
    carried.carrier.close()
    assert [path.name for path in (tmp_path / "north").iterdir()] == ["job"]


# Several stations


def test_stations_are_named_in_their_order(warm: Carried) -> None:
    assert list(warm.carrier.stations) == ["north", "south"]


def test_stations_share_nothing(warm: Carried) -> None:
    warm.carrier.prepare("north", 7)
    warm.carrier.prepare("south", 8)
    warm.exchange("1f", "north")
    assert not (warm.folder / "south" / "job" / "1f.json").exists()


def test_stations_have_their_exchanges_at_the_same_time(warm: Carried) -> None:
    warm.carrier.prepare("north", 7)
    warm.carrier.prepare("south", 8)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(warm.exchange, "hangs", "north")
        warm.noted("hangs", "north")
        assert warm.exchange("1f", "south") == b"the reply to the instruction"
        warm.cancelled.set()
        with pytest.raises(Cancelled):
            hanging.result(SECONDS)


def test_a_station_whose_folder_is_lost_is_an_error(carried: Carried) -> None:
    shutil.rmtree(carried.folder / "north" / "job")
    with pytest.raises(CarrierError):
        carried.exchange("1f")
