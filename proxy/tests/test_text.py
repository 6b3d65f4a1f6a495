"""Whatever others say, what is shown of it is short, one line where a line is meant, and inert."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.text import block, cleaned, one_line

ESC, BELL, CSI, OSC, ST = "\x1b", "\x07", "\x9b", "\x9d", "\x9c"
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

NASTY = st.lists(
    st.one_of(
        st.text(),
        st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])),
        st.sampled_from([f"{ESC}[31m", f"{ESC}]0;", f"{ESC}[", f"{ESC}\\", f"{CSI}2J", "\t", "m"]),
    )
).map("".join)
LIMITS = st.integers(64, 200)


def is_inert(text: str) -> bool:
    """Whether a terminal shows it as it is, and any program can encode it."""
    text.encode()
    return not any(unicodedata.category(each) == "Cc" or each in BIDI for each in text)


@given(NASTY, LIMITS)
def test_a_line_is_inert_one_line_and_no_longer_than_its_limit(text: str, limit: int) -> None:
    shown = one_line(text, limit)
    assert is_inert(shown)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1


@given(NASTY, LIMITS)
@example(f"{ESC}{ESC}[31m[31m", 64)
def test_with_colours_a_line_has_nothing_else_and_ends_without_one(text: str, limit: int) -> None:
    shown = one_line(text, limit, colours=True)
    parts = shown.split(ESC)
    assert len(shown) <= limit
    assert is_inert(parts[0])
    for part in parts[1:]:
        parameters, mark, rest = part.partition("m")
        assert parameters[0] == "["
        assert mark
        assert set(parameters[1:]) <= set("0123456789;:")
        assert is_inert(rest)
    assert len(parts) == 1 or parts[-1].startswith(("[0m", "[m"))


@given(NASTY, st.integers(3, 6), LIMITS)
def test_a_block_is_inert_and_has_no_more_lines_and_columns_than_asked_for(
    text: str, lines: int, columns: int
) -> None:
    shown = block(text, lines, columns).split("\n")
    assert len(shown) <= lines
    assert all(is_inert(line) and len(line) <= columns for line in shown)


@given(NASTY, LIMITS)
def test_cleaning_twice_is_the_same_as_once(text: str, limit: int) -> None:
    for clean in (
        lambda text: one_line(text, limit),
        lambda text: one_line(text, limit, colours=True),
        lambda text: block(text, 4, limit),
        cleaned,
    ):
        assert clean(clean(text)) == clean(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60))
def test_a_text_that_needs_no_cleaning_stays_as_it_is(text: str) -> None:
    assert one_line(text) == one_line(text, colours=True) == block(text) == text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"{ESC}[31mred{ESC}[0m", "red"),
        (f"{CSI}31mred{CSI}0m", "red"),
        (f"{ESC}[2J{ESC}[1;1Hgone", "gone"),
        (f"{ESC}]0;a title{BELL}text", "text"),
        (f"{ESC}]0;a title{ESC}\\text", "text"),
        (f"{OSC}52;c;cm0gLXJm{ST}text", "text"),
        (f"{ESC}P+q544e{ESC}\\text", "text"),
        (f"{ESC}ktitle{ESC}\\text", "text"),
        (f"{ESC}]8;;http://evil{BELL}a link{ESC}]8;;{BELL}", "a link"),
        (f"{ESC}]0;no end", "0;no end"),
        (f"text{ESC}[31", "text"),
        (f"text{ESC}", "text"),
        (f"{ESC}ctext", "text"),
        ("a\rb", "a b"),
        ("one\r\n  two\n", "one two"),
        ("a\x85b\u2028c\u2029d", "a b c d"),
        ("back\x08\x08\x00space", "backspace"),
        ("a\u202eb\u2066c", "abc"),
        ("\ud800 and \udcff", "\\ud800 and \\udcff"),
        ("a\tb", "a   b"),
        ("    indented", "    indented"),
        ("👩‍👩‍👧 é ü 漢字", "👩‍👩‍👧 é ü 漢字"),
    ],
)
def test_what_is_shown(said: str, shown: str) -> None:
    assert one_line(said) == shown


def test_how_much_is_cut_is_said() -> None:
    shown = one_line("x" * 100_000, 1_000)
    kept = shown.count("x")
    assert shown == "x" * kept + f" [{100_000 - kept:,} more characters are cut]"
    assert 990 < len(shown) <= 1_000


def test_of_a_long_block_beginning_and_end_stay() -> None:
    text = "\n".join(map(str, range(1_000)))
    assert block(text, lines=6) == "0\n1\n[995 lines are cut]\n997\n998\n999"


def test_colours_stay_where_they_may_and_are_closed() -> None:
    assert one_line(f"{ESC}[91mERROR{ESC}[0m: no", colours=True) == f"{ESC}[91mERROR{ESC}[0m: no"
    assert one_line(f"{ESC}[8mhidden", colours=True) == f"{ESC}[8mhidden{ESC}[0m"
    assert one_line(f"{ESC}[91m" + "x" * 500, 100, colours=True).startswith("xxx")


@pytest.mark.timeout(60)  # were it quadratic, it would take many minutes
@pytest.mark.parametrize(
    "part", [f"{ESC}]", f"{ESC}[", f"{ESC}[31m", OSC, "\t", "\n", " ", "x", f"{ESC}]0;x"]
)
def test_the_time_it_takes_grows_no_faster_than_the_text(part: str) -> None:
    text = part * 100_000
    assert len(one_line(text, 100, colours=True)) <= 100
    assert len(block(text, 10, 100)) <= 1010


def test_every_text_in_json_is_cleaned_and_all_else_stays() -> None:
    value: dict[str, Any] = {
        f"ke{ESC}[1my": [f"{ESC}[1mx", 1, 2.5, None, True, {"log": f"one\ntwo{BELL}"}]
    }
    assert cleaned(value) == {"key": ["x", 1, 2.5, None, True, {"log": "one\ntwo"}]}
    assert json.loads(json.dumps(cleaned(value))) == cleaned(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at sftp://me:secret@host/x.", "at sftp://me:***@host/x."),
        ("kafka://me:p@ss@broker:9092/x", "kafka://me:***@broker:9092/x"),
        ("sftp://me@host/x, https://host:443/a@b", "sftp://me@host/x, https://host:443/a@b"),
    ],
)
def test_a_password_in_a_url_is_not_shown(text: str, shown: str) -> None:
    assert one_line(text) == shown
