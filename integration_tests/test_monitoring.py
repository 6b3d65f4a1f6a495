"""A real Prometheus watches a real run: every panel shows something, alerts come and go."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithm.flower.environment import Flower
from algorithm.monitoring.entries import FILE, read_file
from integration_tests.harness import (
    APPS,
    ancestor,
    attached_federation,
    free_port,
    run_config,
    run_on,
    run_report,
    start,
    wait_until,
)
from proxy.system.process import Process

MONITORING = Path(__file__).parents[1] / "monitoring"
# The alerts' own times, and what they are here.
HURRY = {"> 900": "> 3", "> 1800": "> 4", "[15m]": "[8s]"}


def program(name: str) -> str:
    """Return where a program is; without it, a test is skipped, but not under CI."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed: Debian's package prometheus has it"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    return path


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((MONITORING / "grafana/dashboards/flower-v6.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def expressions() -> dict[str, str]:
    """Return every expression of the dashboard, by its panel's title."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }


@dataclass
class Prometheus:
    """A Prometheus with our configuration.

    Attributes
    ----------
    url : str
        Where it is.
    window : str
        Over what time it takes rates; it needs two samples in it.
    shown : set[str]
        The panels that have shown something so far.
    """

    url: str
    window: str = "8s"
    shown: set[str] = field(default_factory=set)

    def ask(self, path: str, **query: str) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own
            return json.loads(answer.read())["data"]

    def look_at_the_dashboard(self) -> set[str]:
        """Return the panels that have shown nothing yet."""
        for title, expression in expressions().items():
            query = expression.replace("$__rate_interval", self.window)
            values = [each["value"][1] for each in self.ask("query", query=query)["result"]]
            if any(value != "NaN" for value in values):
                self.shown.add(title)
        return expressions().keys() - self.shown

    def firing(self) -> set[tuple[str, str]]:
        """Return which alerts fire: their names and stations."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("station", ""))
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Start a Prometheus that asks a target every second."""
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = configuration["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:9464"]}]
    job["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    rules = re.sub(r"for: \d+m", "for: 0s", (MONITORING / "alerts.yml").read_text())
    for usual, here in HURRY.items():
        assert usual in rules
        rules = rules.replace(usual, here)
    (folder / "alerts.yml").write_text(rules)
    address = f"127.0.0.1:{free_port()}"
    executable = program("prometheus")
    process = Process(
        [
            *(executable, f"--config.file={folder / 'prometheus.yml'}"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"),
        ],
        dict(os.environ),
        folder / "prometheus.log",
    )
    try:
        server = Prometheus(f"http://{address}")
        wait_until(lambda: _answers(server, process), "Prometheus answers")
        yield server
    finally:
        process.stop()


def _answers(server: Prometheus, process: Process) -> bool:
    assert process.running, process.log_tail()
    try:
        server.ask("alerts")
    except OSError:
        return False
    return True


def test_the_configuration_and_the_alerts_are_as_prometheus_wants_them() -> None:
    promtool = program("promtool")
    for arguments in (
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ):
        checked = subprocess.run(
            [promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_test() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((MONITORING / "alerts.test.yml").read_text())["tests"]
    tested = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert {rule["alert"] for rule in rules} == tested


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + column, place["y"] + row)
            for column in range(place["w"])
            for row in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_a_station_that_is_killed_is_seen_and_that_all_is_well_again(tmp_path: Path) -> None:
    """One run: a station is silent, is killed, answers again; and every panel shows something."""
    address = f"127.0.0.1:{free_port()}"
    config = run_config(
        num_server_rounds=8,
        hold="0-3 0-8",
        journal=tmp_path / "journal",
        pid_dir=tmp_path,
        result=tmp_path / "result.json",
    )
    output = tmp_path / "output"
    options = ("--mode", "direct", "--metrics", address, "--output", str(output))
    run = start(
        *("run", str(APPS / "faults"), *options, "--run-config", config), log=tmp_path / "run.log"
    )
    silent = ("FlowerV6StationSilent", "station-1")
    errors = ("FlowerV6ErrorsRising", "station-1")
    stalled = ("FlowerV6RoundStalled", "")
    try:
        with prometheus(tmp_path, address) as server:
            wait_until(lambda: {silent, stalled} <= server.firing(), "the silence is an alert")
            assert errors not in server.firing()
            server.look_at_the_dashboard()

            host = ancestor(int((tmp_path / "0-3").read_text()), "-m algorithm")
            os.kill(host, signal.SIGKILL)
            wait_until(lambda: errors in server.firing(), "the error is an alert")

            wait_until(lambda: silent not in server.firing(), "the silence is over")
            # The last round waits, so that there is time to look.
            wait_until(lambda: errors not in server.firing(), "the error is forgotten")
            wait_until(lambda: silent in server.firing(), "the last round is silent")
            empty = server.look_at_the_dashboard()
            (tmp_path / "0-8.go").touch()
            wait_until(lambda: not run.running, "the run has ended")
            wait_until(lambda: server.firing() == set(), "all is well")
        assert empty == set()
        assert run.exit_code == 0, run.log_tail()
    finally:
        run.stop()
    events = [entry.event for entry in read_file(output / FILE)]
    assert (events[0], events[-1]) == ("started", "ended")
    messages = run_report(output)["messages"]
    assert events.count("pulled") == events.count("pushed") == len(messages) == 16
    assert [each["error_code"] for each in messages if each["error"]] == [5]


def test_attached_stations_tell_of_every_run_until_they_leave(
    flower: Flower, tmp_path: Path
) -> None:
    address, output = f"127.0.0.1:{free_port()}", tmp_path / "output"
    options = ("--output", str(output), "--metrics", address)
    with attached_federation(flower, tmp_path / "federation", *options) as federation:
        run_on([federation], "taped", ".json", num_server_rounds=1)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            served = answer.read().decode()
    entries = list(read_file(output / FILE))
    assert (entries[0].event, entries[0].stations) == ("started", ["station-1", "station-2"])
    assert (entries[-1].event, entries[-1].status) == ("ended", "cancelled")
    assert [entry.event for entry in entries].count("pushed") == 4
    for station in entries[0].stations:
        assert f'flower_v6_station_online{{station="{station}"}} 1.0' in served
        counted = (
            f'flower_v6_messages_total{{outcome="reply",station="{station}",type="train"}} 1.0'
        )
        assert counted in served
