"""Numbers, as a person reads them."""

import math
from datetime import UTC, datetime

from proxy.text import one_line

# No run lasts longer, and no clock shows a later time (the year 3000).
_LONGEST_SECONDS = 1e9
_LATEST = 32_503_680_000.0


def seconds(value: float) -> str:
    """Return a duration: "0.21 s", "7.6 s", "1 min 53 s", "2 h 5 min"."""
    value = min(max(value, 0.0), _LONGEST_SECONDS)
    if value < 1:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def number(value: float | None) -> str:
    """Return a metric: four digits that say something, "-" where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.4g}"


def percent(value: float) -> str:
    """Return a share: "65 %", "under 1 %"."""
    return "under 1 %" if 0 < value < 1 else f"{value:.0f} %"


def count(value: int, noun: str) -> str:
    """Return "1 station", "2 stations"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{value:,} {noun if value == 1 else plural}"


def setting(value: str | float | bool) -> str:
    """Return a value of a run config: "true", "0.1", "cpu"; a long text is cut."""
    return one_line(str(value).lower() if isinstance(value, bool) else str(value), 300)


def moment(at: float) -> str:
    """Return a time, in UTC: "2026-01-31 10:00:00 UTC"; nothing where it is not known."""
    if not 0 < at < _LATEST:
        return ""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
