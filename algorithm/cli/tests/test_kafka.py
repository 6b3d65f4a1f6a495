"""The command flower-v6 kafka: it prints what an operator makes, and refuses what is no lane."""

import sys
from types import SimpleNamespace

import pytest

from algorithm.cli import main


@pytest.fixture(autouse=True)
def _kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the extra, of which printing needs nothing."""
    monkeypatch.setitem(sys.modules, "confluent_kafka", SimpleNamespace())


def test_topics_and_rights_are_printed_as_commands(capsys: pytest.CaptureFixture[str]) -> None:
    lane = "north,south=kafka://broker:9092/flower"
    assert main(["kafka", "topics", "--lane", lane]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("kafka-topics.sh --bootstrap-server broker") for line in lines) == 4
    assert any("User:south --operation Write --topic flower.south.to-central" in x for x in lines)


@pytest.mark.parametrize(
    "lane", ["north", "north=folder:/x", "north=kafka://broker", "nor th=kafka://b/x", "=kafka:x"]
)
def test_what_is_no_lane_in_kafka_is_refused(lane: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kafka", "topics", "--lane", lane]) == 1
    assert "Write " in capsys.readouterr().err
