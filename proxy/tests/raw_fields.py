"""Fleet messages as no encoder writes them: any fields, in any order, any number of times.

Each field by itself is sensible, so what is drawn is often accepted.
"""

from collections.abc import Sequence

from hypothesis import strategies as st

Encoded = st.SearchStrategy[bytes]


def varint(number: int, more: int = 0) -> bytes:
    """Encode a number; in so many bytes more than it needs."""
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)]
    groups += [0] * more
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def raw(number: int, value: int | bytes, more: int = 0) -> bytes:
    """Encode a field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value, more)
    return varint(number << 3 | 2) + varint(len(value), more) + value


def fields(numbers: Sequence[int], values: st.SearchStrategy[int] | Encoded) -> Encoded:
    """Draw a field."""
    return st.builds(raw, st.sampled_from(numbers), values, st.sampled_from([0] * 9 + [1]))


def several(*kinds: Encoded, most: int = 4) -> Encoded:
    """Draw a sequence of fields."""
    return st.lists(st.one_of(*kinds), max_size=most).map(b"".join)


TEXTS = st.sampled_from([b"", b"/", b"me/app", b"1.0", b"../evil", b"\xff"])
NUMBERS = st.sampled_from([0, 1, 7, 1 << 63])
# A value in a run config: a double, an integer, a boolean or a text.
SCALARS = several(fields([2, 3], NUMBERS), fields([4, 5], TEXTS), most=2)
ENTRIES = several(fields([1, 1, 1, 3], TEXTS), fields([2], SCALARS), most=3)
RUNS = several(
    fields([1, 2, 8], NUMBERS), fields([2, 3, 5, 6, 9, 12], TEXTS), fields([4], ENTRIES), most=6
)
RUN_RESPONSES = several(fields([1, 1, 1, 9], RUNS), most=2)
FABS = several(fields([1, 2, 9], TEXTS), fields([1], NUMBERS), fields([3], ENTRIES))
FAB_RESPONSES = several(fields([1, 1, 1, 9], FABS), most=2)
METADATA = several(fields([1, 3, 4, 10, 11], NUMBERS), fields([2, 5, 6, 8], TEXTS), most=6)
ERRORS = several(fields([1], NUMBERS), fields([2], TEXTS), most=2)
MESSAGES = several(fields([1, 1, 1], METADATA), fields([3], ERRORS), fields([9], TEXTS), most=3)
TREES = several(fields([1], TEXTS), fields([2], several(fields([1], TEXTS), most=2)), most=3)
PULLED = several(fields([2], MESSAGES), fields([3], TREES), fields([9], TEXTS), most=3)
