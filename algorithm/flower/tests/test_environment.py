"""What Flower's programs are started with."""

from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from algorithm.tests.fake_flower import make_flower


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_what_flowers_programs_say_to_each_other_goes_through_no_proxy(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # As a vantage6 node with a proxy has it for its containers.
    monkeypatch.setenv(variable, "localhost, node")
    monkeypatch.setenv("http_proxy", "http://node:3128")
    environment = Flower(make_flower(tmp_path)).environment(tmp_path)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "localhost, node,127.0.0.1"
    assert environment["http_proxy"] == "http://node:3128"


def test_no_secret_of_ours_is_among_their_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_V6_PASSWORD", "secret")
    environment = Flower(make_flower(tmp_path)).environment(tmp_path)
    assert not [name for name in environment if name.startswith("FLOWER_V6_")]
