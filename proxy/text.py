r"""Cleans what others said, before it is shown, logged or kept.

Stations, servers and apps choose names, errors and logs freely. On a terminal an escape sequence
can move the cursor, change the window's title or answer for the user; a newline forges a line of a
log; a bidirectional override shows a text in another order than it has. A password in a URL is kept
out, whoever shows the URL.

What is cleaned here is short, valid Unicode, and shows as what it is. A text that needs no
cleaning stays as it is. Cleaning twice is the same as once.

Sources for the sequences: ECMA-48 (5.3 C1, 5.4 control sequences, 5.6 strings, 8.3.117 SGR), and
screen's and tmux's `ESC k` title strings. For the bidirectional controls: Unicode UAX #9.
"""

import re
from typing import Any

# No sentence is longer; a line of a program's log may be.
SENTENCE = 1_000
LINE = 10_000
# The shortest limit that leaves room for the note about what was cut.
_SHORTEST = 64

_RESET = "\x1b[0m"
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# Every part matches at once or not at all: time is linear in the text, whatever it is.
_SEQUENCE = re.compile(
    # Strings: OSC, DCS, SOS, PM, APC, title; with their content only where they are terminated.
    r"(?:\x1b[\]PX^_k]|[\x90\x98\x9d-\x9f])([^\x00-\x1f\x7f-\x9f]*)(\x07|\x1b\\|\x9c)?"
    # Control sequences, also unfinished ones: CSI, parameters, intermediates, the final byte.
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    # All other escape sequences.
    r"|\x1b[ -/]*[0-~]?"
)
# A user's password in a URL. Nobody has to see it who sees where something is.
_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/\s]*@")
# Control characters, and characters that show nothing or reorder what surrounds them. The joiners
# U+200C and U+200D stay: emoji and some scripts need them.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def one_line(text: str, limit: int = SENTENCE, colours: bool = False) -> str:
    """Return a text as one line without anything that a terminal obeys.

    Parameters
    ----------
    text : str
        Any string, also one with lone surrogates. Its lines are joined with spaces.
    limit : int
        The most characters to return, 64 at least. A longer text ends with how many are cut.
    colours : bool
        Whether colours (SGR sequences) stay. They are reset at the line's end, and dropped from a
        line that is too long.
    """
    lines = text.splitlines()
    text = lines[0] if len(lines) == 1 else " ".join(filter(None, map(str.strip, lines)))
    if colours:
        plain = [_plain(part) for part in _COLOUR.split(text)]
        marks = _COLOUR.findall(text)
        if marks and marks[-1] not in (_RESET, "\x1b[m"):
            marks[-1:], plain[-1:] = [marks[-1], _RESET], [plain[-1], ""]
        coloured = plain[0] + "".join(map(str.__add__, marks, plain[1:]))
        if len(coloured) <= limit:
            return coloured
    return _cut(_plain(text), max(limit, _SHORTEST))


def block(text: str, lines: int = 100, columns: int = SENTENCE) -> str:
    """Return a text of several lines, each cleaned as by `one_line`.

    Parameters
    ----------
    text : str
        Any string.
    lines : int
        The most lines to return, 3 at least. Of more, those in the middle are cut: errors say what
        happened in the first line, logs in the last.
    columns : int
        The most characters of a line.
    """
    given = text.splitlines()
    if (cut := len(given) - max(lines, 3)) <= 0:
        return "\n".join(one_line(line, columns) for line in given).rstrip("\n")
    head = (max(lines, 3) - 1) // 2
    cut += 1  # the note is a line, too
    kept = [one_line(line, columns) for line in (*given[:head], *given[head + cut :])]
    return "\n".join([*kept[:head], f"[{cut:,} lines are cut]", *kept[head:]]).rstrip("\n")


def cleaned(value: Any) -> Any:
    """Return what JSON can hold, with every text in it cleaned, keys included."""
    if isinstance(value, str):
        return block(value)
    if isinstance(value, dict):
        return {one_line(str(key)): cleaned(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(member) for member in value]
    return value


def indented(text: str) -> str:
    """Return a cleaned block whose lines after the first cannot pass for lines of a log."""
    return block(text).replace("\n", "\n    ")


def _plain(text: str) -> str:
    """Return a line without sequences, hidden characters and lone surrogates."""
    if text.isascii() and text.isprintable() and "://" not in text:
        return text  # as nearly all are, and a report cleans 100,000
    text = _SEQUENCE.sub(_content, text).expandtabs(4)
    text = _PASSWORD.sub(r"\1***@", _HIDDEN.sub("", text))
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text


def _content(sequence: re.Match[str]) -> str:
    # The content of a string without an end may be all that there is to read.
    return "" if sequence[2] or not sequence[1] else sequence[1]


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    kept = limit - len(_note(len(text)))
    return text[:kept] + _note(len(text) - kept)


def _note(cut: int) -> str:
    return f" [{cut:,} more characters are cut]"
