"""What a station's policy decided, as its functions log it (`algorithm.station.policy`)."""

import re

from proxy.text import one_line

_VERDICT = re.compile(r"policy: (.*)|failed: (Refused by the station's policy: .*)")
_MOST = 20


def verdicts_in(log: str) -> tuple[str, ...]:
    """Return the different verdicts in a log, in their order; not more than 20."""
    verdicts: dict[str, None] = {}
    for match in _VERDICT.finditer(log):
        verdicts.setdefault(one_line(match[1] or match[2], 500))
        if len(verdicts) == _MOST:
            break
    return tuple(verdicts)
