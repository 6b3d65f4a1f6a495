"""Writes what `make compat` and `make compat-vantage6` found out into the pages for readers.

    python -m integration_tests.compatibility

The sections between two markers are all that depends on it.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from algorithm.compat.vantage6 import examine as vantage6
from algorithm.compat.vantage6.contract import contract_of
from algorithm.compat.vantage6.examine import PlatformVerdict
from algorithm.compat.verdict import Verdict, decode

_ROOT = Path(__file__).parents[1]
FOUND = _ROOT / "docs" / "compatibility.json"
FOUND_OF_VANTAGE6 = _ROOT / "docs" / "compatibility-vantage6.json"
README = _ROOT / "README.md"
ABOUT_VANTAGE6 = _ROOT / "docs" / "vantage6.md"
_BEGIN, _END = "<!-- compatibility: written by make compat -->\n", "<!-- /compatibility -->\n"
_BEGIN_VANTAGE6 = "<!-- vantage6: written by make compat-vantage6 -->\n"
_END_VANTAGE6 = "<!-- /vantage6 -->\n"
_TRANSPORTS = {"grpc": "gRPC", "http": "HTTP"}
_SAID = {
    "works": "same results as natively",
    "fits": "not tried out; by what it publishes it fits",
    "none": "there is none",
}


def section(verdicts: Sequence[Verdict]) -> str:
    """Return the support window, and a table with a row for releases of which the same is true."""
    usable = [verdict.release for verdict in verdicts if not verdict.reasons]
    lines = [
        f"The bridge speaks Flower {usable[0]} to {usable[-1]}: {len(usable)} of the"
        f" {len(verdicts)} releases in that window.",
        "",
        "| Releases | Fleet API | An app through the bridge | In direct mode |",
        "|---|---|---|---|",
    ]
    for (transport, said, directly), rows in groupby(verdicts, _row):
        releases = ", ".join(verdict.release for verdict in rows)
        lines.append(f"| {releases} | {_TRANSPORTS[transport]} | {said} | {directly} |")
    return "\n".join(lines) + "\n"


def _row(verdict: Verdict) -> tuple[str, str, str]:
    """Return what releases have in common that share a row."""
    return (
        verdict.transport,
        _said(verdict.status, verdict.reasons),
        _said(verdict.direct, verdict.direct_reasons or ()),
    )


def _said(status: str, reasons: Sequence[str]) -> str:
    return _SAID.get(status) or f"**{status}**: {'; '.join(reasons)}"


def section_of_vantage6(verdicts: Sequence[PlatformVerdict]) -> str:
    """Return a table with a row for releases of a generation of which the same can be said."""
    lines = ["| vantage6 | How it is known |", "|---|---|"]
    for (_, said), rows in groupby(verdicts, _row_of_vantage6):
        releases = ", ".join(verdict.release for verdict in rows)
        lines.append(f"| {releases} | {said} |")
    return "\n".join(lines) + "\n"


def _row_of_vantage6(verdict: PlatformVerdict) -> tuple[tuple[int, ...], str]:
    said = {
        "works": "the tests run it",
        "fits": "the tests do not run it; by what it publishes it fits",
    }.get(verdict.status)
    reasons = "; ".join(verdict.reasons)
    return contract_of(verdict.release).first, said or f"**{verdict.status}**: {reasons}"


def updated(readme: str, verdicts: Sequence[Verdict]) -> str:
    """Return the README with the section that belongs to some verdicts."""
    return _replaced(readme, _BEGIN, section(verdicts), _END)


def updated_for_vantage6(page: str, verdicts: Sequence[PlatformVerdict]) -> str:
    """Return a page with the section that belongs to some verdicts."""
    return _replaced(page, _BEGIN_VANTAGE6, section_of_vantage6(verdicts), _END_VANTAGE6)


def _replaced(page: str, begin: str, text: str, end: str) -> str:
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> None:
    """Write both sections."""
    README.write_text(updated(README.read_text(), decode(FOUND.read_text())))
    platforms = vantage6.decode(FOUND_OF_VANTAGE6.read_text())
    for page in (README, ABOUT_VANTAGE6):
        page.write_text(updated_for_vantage6(page.read_text(), platforms))


if __name__ == "__main__":
    main()
