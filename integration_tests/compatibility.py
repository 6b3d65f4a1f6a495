"""Writes what `make compat` found out into the README: `python -m integration_tests.compatibility`.

The section between two markers is all that depends on it.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from algorithm.compat.verdict import Verdict, decode

_ROOT = Path(__file__).parents[1]
FOUND = _ROOT / "docs" / "compatibility.json"
README = _ROOT / "README.md"
_BEGIN, _END = "<!-- compatibility: written by make compat -->\n", "<!-- /compatibility -->\n"
_TRANSPORTS = {"grpc": "gRPC", "http": "HTTP"}
_SAID = {
    "works": "same results as natively",
    "fits": "not tried out; by what it publishes it fits",
    "none": "there is none",
}


def section(verdicts: Sequence[Verdict]) -> str:
    """Return the support window, and a table with a row for each era."""
    usable = [verdict.release for verdict in verdicts if not verdict.reasons]
    lines = [
        f"The bridge speaks Flower {usable[0]} to {usable[-1]}: {len(usable)} of the"
        f" {len(verdicts)} releases in that window.",
        "",
        "| Releases | Fleet API | An app through the bridge | In direct mode |",
        "|---|---|---|---|",
    ]
    for (_, transport, said, directly), rows in groupby(verdicts, _row):
        releases = ", ".join(verdict.release for verdict in rows)
        lines.append(f"| {releases} | {_TRANSPORTS[transport]} | {said} | {directly} |")
    return "\n".join(lines) + "\n"


def _row(verdict: Verdict) -> tuple[str, str, str, str]:
    """Return what releases have in common that share a row."""
    return (
        verdict.era,
        verdict.transport,
        _said(verdict.status, verdict.reasons),
        _said(verdict.direct, verdict.direct_reasons or ()),
    )


def _said(status: str, reasons: Sequence[str]) -> str:
    return _SAID.get(status) or f"**{status}**: {'; '.join(reasons)}"


def updated(readme: str, verdicts: Sequence[Verdict]) -> str:
    """Return the README with the section that belongs to some verdicts."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{section(verdicts)}\n{_END}{after}"


if __name__ == "__main__":
    README.write_text(updated(README.read_text(), decode(FOUND.read_text())))
