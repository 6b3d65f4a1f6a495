"""The direct mode, beyond what it has in common with the bridge (`test_results.py`)."""

import json
import os
import signal
from collections.abc import Callable
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from algorithm.flower.environment import Flower
from algorithm.flower.scripts import run_clientapp
from algorithm.flower.scripts.run_clientapp import _resolve
from integration_tests.harness import (
    APPS,
    Direct,
    Federation,
    alive,
    ancestor,
    attached_federation,
    finish,
    flower_v6,
    installed,
    native_federation,
    run_config,
    run_on,
    start,
    wait_until,
)
from integration_tests.test_results import arrays, values
from proxy.fleet.inline import MAX_WHOLE_BYTES
from proxy.fleet.messages import ErrorCode
from proxy.fleet.releases import names_of

Read = Callable[[Path], Any]
# How an app's result is read, and its run config.
App = tuple[Read, dict[str, object]]


def asked(result: Path) -> list[list[dict[str, Any]]]:
    """Return what each station answered to what Unruly's ServerApp asked."""
    answers: list[list[dict[str, Any]]] = json.loads(result.read_text())
    assert len(answers) == 2
    return answers


def hashes(result: Path) -> list[str]:
    """Return the hashes of the models that Large's ServerApp had."""
    found: list[str] = values(result)["sha256"]
    return found


FEW: dict[str, App] = {
    "queries": (values, {}),
    "stateful": (values, {"num_server_rounds": 2}),
}
ALL: dict[str, App] = {
    **FEW,
    "raising": (values, {"num_server_rounds": 2}),
    "shadow": (arrays, {"num_server_rounds": 1}),
    "taped": (values, {"num_server_rounds": 2}),
    "digits": (arrays, {"num_server_rounds": 1}),
    "large": (hashes, {"megabytes": 20, "evaluate": False}),
    "legacy": (arrays, {"num_server_rounds": 2}),
    "unruly": (asked, {"asks": "globals globals prints"}),
}
OLDER = ("1.22.0", "1.26.1", "1.32.1", "1.39.0")
APPS_NEED = [f"{name}=={version(name)}" for name in ("scikit-learn", "torch")]


@pytest.mark.parametrize(
    ("release", "apps"),
    [
        ("1.22.0", FEW),
        *(pytest.param(release, ALL, marks=pytest.mark.thorough) for release in OLDER),
    ],
    ids=lambda each: {id(FEW): "few", id(ALL): "all"}.get(id(each)),
)
def test_apps_of_another_release_end_as_natively_and_as_through_the_bridge(
    release: str, apps: dict[str, App], tmp_path: Path
) -> None:
    flower = installed(release, APPS_NEED if apps is ALL else ())
    with (
        native_federation(flower, tmp_path / "native") as native,
        attached_federation(flower, tmp_path / "bridged") as bridged,
    ):
        for app, (read, config) in apps.items():
            if app == "digits":
                config = {**config, "model": tmp_path / "model.pt"}  # noqa: PLW2901
            suffix = ".npz" if read is arrays else ".json"
            ways: list[Federation | Direct] = [native, bridged, Direct(flower, tmp_path)]
            natively, *others = map(read, run_on(ways, app, suffix, **config))
            assert others == [natively] * 2, app


@pytest.mark.thorough
@pytest.mark.parametrize("release", OLDER)
def test_a_clientapp_may_fork_workers(release: str, tmp_path: Path) -> None:
    """Not compared with native runs, as on 1.41: in those of some of these releases many crash."""
    directly = Direct(installed(release, APPS_NEED), tmp_path)
    (result,) = run_on([directly], "unruly", ".json", asks="workers workers")
    totals = {answer["workers"]["total"] for station in asked(result) for answer in station}
    assert len(totals) == 1


def test_messages_are_encoded_and_decoded_as_flower_does(flower: Flower) -> None:
    """Only with fewer copies of arrays."""
    names = names_of(flower.release)
    api = SimpleNamespace(**{role: _resolve(name) for role, name in names.items()})
    frames = run_clientapp.frames
    arrays = api.ArrayRecord({"a": _resolve("flwr.app:Array")(np.arange(6.0).reshape(2, 3))})
    metrics = _resolve("flwr.app:MetricRecord")({"loss": 0.5, "counts": [1, 2]})
    config = _resolve("flwr.app:ConfigRecord")({"text": "a", "flags": [True], "raw": b"b"})
    none = _resolve("flwr.app:Array")("float64", (0,), "numpy.ndarray", b"")
    more = api.ArrayRecord({"": none, "ü" * 200: none})
    records = {"m": metrics, "empty": api.ArrayRecord(), "arrays": arrays, "c": config, "": more}
    api.TaskIdentity.run_id, api.TaskIdentity.node_id, api.TaskIdentity.task_id = 1, 2, 3
    asked = api.Message(api.RecordDict(records), 4, "train")
    said = [asked, api.Message(api.RecordDict(), reply_to=asked)]
    said.append(api.Message(api.Error(code=2, reason="no data"), reply_to=asked))
    for message in said:
        pieces = [frames.encoded_head(api, message)]
        if message.has_content():
            pieces += frames.content_field(frames.encoded_content(api, message))
        encoded = b"".join(pieces)
        assert api.ProtoMessage.FromString(encoded) == api.message_to_proto(message)
        decoded = frames.decoded(api, frames.Frame(b"M", len(encoded), BytesIO(encoded)))
        assert api.message_to_proto(decoded) == api.message_to_proto(message)
        if message.has_content():
            assert list(decoded.content) == list(message.content)


def test_what_is_too_large_for_a_message_is_said_before_it_is_sent(direct: Direct) -> None:
    """To the ServerApp as an exception, and of a reply as an error; the next message arrives."""
    (result,) = run_on([direct], "oversize", ".json")
    found = values(result)
    limit = f"the limit of a message in direct mode is {MAX_WHOLE_BYTES:,}"
    assert limit in found["sent"]
    assert [limit in reason for reason in found["much"]] == [True, True]
    assert found["little"] == ["", ""]


# Secure aggregation


def averaged(result: Path) -> list[np.ndarray]:
    """Return what Secagg's ServerApp has saved."""
    with np.load(result) as file:
        return [file[name] for name in file]


def test_secure_aggregation_ends_as_natively(flower: Flower, tmp_path: Path) -> None:
    directly = Direct(flower, tmp_path, ("--stations", "3"))
    with native_federation(flower, tmp_path / "native", ["", "", ""]) as native:
        natively, result = run_on([native, directly], "secagg", ".npz")
    assert arrays(result) == arrays(natively)


def test_a_station_that_is_killed_has_dropped_out_of_the_aggregation(tmp_path: Path) -> None:
    pid, result = tmp_path / "pid", tmp_path / "result.npz"
    config = run_config(drop_partition=2, pid=pid, result=result)
    run = start(
        *("run", str(APPS / "secagg"), "--mode", "direct", "--stations", "3"),
        *("--run-config", config),
        log=tmp_path / "run.log",
    )
    wait_until(lambda: pid.exists() and bool(pid.read_text()), "a station is at work")
    clientapp = int(pid.read_text())
    host = ancestor(clientapp, "algorithm")
    os.kill(host, signal.SIGKILL)
    finish(run)
    assert run.exit_code == 0, run.log_tail(40)
    assert not alive({clientapp})
    (average,) = averaged(result)
    # Of stations 0 and 1; numbers are rounded on their way.
    assert np.allclose(average, np.linspace(-1.0, 1.0, 50) + 1 / 2, atol=1e-4)


# What an app does to its process


def test_each_message_finds_a_new_process_as_natively(native: Federation, direct: Direct) -> None:
    asks = "globals globals prints workers workers"
    natively, directly = map(asked, run_on([native, direct], "unruly", ".json", asks=asks))
    assert directly == natively
    for station in directly:
        assert station[0] == station[1]
        assert station[0]["globals"]["seen"] == 1


def test_what_nobody_seeded_differs_from_message_to_message(direct: Direct) -> None:
    (result,) = run_on([direct], "unruly", ".json", asks="unseeded unseeded unseeded")
    drawn = {answer["unseeded"]["drawn"] for station in asked(result) for answer in station}
    assert len(drawn) == 6


def test_an_app_that_ends_or_hangs_costs_one_reply_and_leaves_nothing_running(
    flower: Flower, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    # What is imported and started before the first reply counts, too.
    directly = Direct(flower, tmp_path, ("--deadline", "40"))
    asks = "leftover exit globals threads globals hang globals"
    (result,) = run_on([directly], "unruly", ".json", asks=asks, pids=pids)
    fine = {"seen": 1, "told": 0}
    for left, ended, first, thread, second, hung, third in asked(result):
        assert left == {"leftover": {"left": 1}}
        assert thread == {"threads": {"left": 1}}
        assert ended["exit"]["error"] == ErrorCode.CLIENT_APP_CRASHED
        assert "exit code 0 and without a reply" in ended["exit"]["reason"]
        assert hung["hang"]["error"] == ErrorCode.REPLY_MESSAGE_UNAVAILABLE
        assert "within the deadline of 40.0 s" in hung["hang"]["reason"]
        for each in (first, second, third):
            assert each["globals"].items() >= fine.items()
    noted = {int(path.name) for path in pids.iterdir()}
    assert len(noted) == 6
    assert not alive(noted)


# The command


def test_the_report_is_that_of_a_bridged_run(tmp_path: Path) -> None:
    ended = flower_v6(
        *("run", str(APPS / "stateful"), "--mode", "direct", "--json"),
        *("--run-config", run_config(num_server_rounds=1, result=tmp_path / "result.json")),
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["status"], report["mode"]) == ("completed", "direct")
    assert report["flower_run"] == report["messages"][0]["flower_run"]
    for record in report["messages"]:
        assert record["metrics"]["partition-id"] in (0, 1)
        assert record["seconds"].keys() == {
            *("drain", "carry", "handover", "clientapp", "collect", "store"),
        }
    assert sum(each["fab_bytes"] > 0 for each in report["messages"]) == 2


@pytest.mark.parametrize(
    ("app", "config", "complaint"),
    [
        ("faults", {"server_fail": True}, "the server app failed on purpose"),
        ("broken/broken_import", {}, "a_module_that_does_not_exist"),
        ("broken/not_flower", {}, "names no serverapp and clientapp"),
        ("shadow", {"no_such_key": 1}, "no-such-key"),
    ],
)
def test_a_run_that_fails_says_why(
    app: str, config: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    if app != "broken/not_flower":
        config = {**config, "result": tmp_path / "result"}
    ended = flower_v6(
        *("run", str(APPS / app), "--mode", "direct"), *("--run-config", run_config(**config))
    )
    assert ended.returncode == 1
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr.partition("\n")[0]


def test_a_clientapp_that_does_not_import_is_an_error_to_each_message(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    ended = flower_v6(
        *("run", str(APPS / "broken" / "broken_client"), "--mode", "direct"),
        *("--run-config", run_config(result=result)),
    )
    assert ended.returncode == 0, ended.stderr
    assert "a_module_that_does_not_exist" in result.read_text()


def test_there_is_no_direct_mode_for_a_release_that_is_too_old() -> None:
    environment = str(installed("1.19.0").folder)
    ended = flower_v6(
        *("run", str(APPS / "taped"), "--mode", "direct", "--flower-env", environment)
    )
    assert ended.returncode == 1
    assert "Direct mode does not support Flower 1.19.0" in ended.stderr
