"""TOML of others is read within bounds."""

import pytest

from algorithm.flower import strict_toml


@pytest.mark.parametrize("part", ["a", '"a"', "'a'", '"\\""', '"\\\\"', "a "])
def test_a_key_of_many_parts_is_refused_however_they_are_written(part: str) -> None:
    assert strict_toml.loads(".".join([part] * 20) + " = 1")
    with pytest.raises(ValueError, match="a key of more than 32 parts"):
        strict_toml.loads(".".join([part] * 5000) + " = 1")


def test_what_toml_1_1_brought_is_read_as_flower_reads_it() -> None:
    text = 'table = {\n  rounds = 3,\n}\nescape = "\\e"'
    assert strict_toml.loads(text) == {"table": {"rounds": 3}, "escape": "\x1b"}
