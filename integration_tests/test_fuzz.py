"""Every parser of others' bytes, tried with all that is kept for it; see `make fuzz`."""

import pytest

from integration_tests.fuzz.harness import check, kept, load, names


@pytest.mark.parametrize("name", names())
def test_a_parser_returns_or_refuses_within_bounds_what_it_is_tried_with(name: str) -> None:
    target = load(name)
    for data in [*target.seeds(), *target.bombs(), *kept(name).values()]:
        check(target, data)
