"""How two values differ is told by the parts that do."""

from typing import Any

import pytest

from proxy.journal.differences import differ, difference

LONG = "x" * 100


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("1.41.0", "1.43.0", "1.41.0 there, 1.43.0 now"),
        (1, "1", '1 there, "1" now'),
        ({"rounds": 2, "lr": 0.1}, {"rounds": 3, "lr": 0.1}, "rounds: 2 there, 3 now"),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, "a: b: 1 there, 2 now"),
        ({"a": 1}, {"b": 2}, "a: 1 there, none now; b: none there, 2 now"),
        (
            dict.fromkeys("abcde", 1),
            dict.fromkeys("abcde", 2),
            "a: 1 there, 2 now; b: 1 there, 2 now; c: 1 there, 2 now; and 2 more",
        ),
        (["a=1", "a=2", "a=3"], ["a=1", "a=4", "a=5"], "number 2: a=2 there, a=4 now"),
        (["north"], ["north", "south"], "1 there, 2 now"),
        (None, [], "None there, [] now"),
    ],
)
def test_only_the_parts_that_differ_are_told(before: Any, now: Any, told: str) -> None:
    assert differ(before, now)
    assert difference(before, now) == told


@pytest.mark.parametrize("before", [f"{LONG}1{LONG}", f"1{LONG}", f"{LONG}1", LONG])
def test_of_long_values_what_is_around_the_difference_is_shown(before: str) -> None:
    there, now = difference(before, before.replace("1", "2") + "2").split(" there, ")
    assert len(there) <= 66
    assert len(now) <= 66 + len(" now")
    assert ("1" in there) == ("1" in before)
    assert "2" in now


def test_not_a_number_is_itself() -> None:
    assert not differ({"threshold": float("nan")}, {"threshold": float("nan")})
