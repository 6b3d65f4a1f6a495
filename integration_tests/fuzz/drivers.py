"""What mutates inputs: atheris, guided by coverage, or hypothesis where that cannot be installed.

`python -m integration_tests.fuzz.drivers TARGET SECONDS FOLDER` fuzzes one target. What is new is
left in the folder; an input that breaks the target is there as `crash-…`, and ends the program.
"""

import sys
import time
from hashlib import sha256
from pathlib import Path

from integration_tests.fuzz.harness import Target, check, kept, load

try:
    import atheris
except ImportError:
    atheris = None

_MAX_LENGTH = 1 << 16
_INSTRUMENTED = ("proxy", "algorithm", "json", "zipfile")


def with_atheris(name: str, seconds: int, folder: Path) -> None:
    """Fuzz with atheris; does not return."""
    with atheris.instrument_imports(include=list(_INSTRUMENTED)):
        target = load(name)
    for number, data in enumerate([*target.seeds(), *kept(name).values()]):
        if len(data) <= _MAX_LENGTH:
            (folder / f"seed-{number}").write_bytes(data)
    options = {
        "max_total_time": seconds,
        "max_len": _MAX_LENGTH,
        "rss_limit_mb": 0,  # `check` limits what an input may take
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/",
    }
    atheris.Setup(
        [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(folder)],
        lambda data: check(target, data),
    )
    atheris.Fuzz()


def with_hypothesis(name: str, seconds: int, folder: Path) -> None:
    """Fuzz with hypothesis: passages of sound inputs are replaced."""
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415
    from hypothesis import strategies as st  # noqa: PLC0415

    target = load(name)
    sound = [each for each in [*target.seeds(), *kept(name).values()] if len(each) <= _MAX_LENGTH]
    ends, executions = time.monotonic() + seconds, 0

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(st.sampled_from(sound), st.data())
    def some(before: bytes, drawn: st.DataObject) -> None:
        nonlocal executions
        start = drawn.draw(st.integers(0, len(before)))
        end = drawn.draw(st.integers(start, min(len(before), start + 16)))
        _check(target, before[:start] + drawn.draw(st.binary(max_size=40)) + before[end:], folder)
        executions += 1

    while time.monotonic() < ends:
        some()
    print(f"stat::number_of_executed_units: {executions}", file=sys.stderr)


def _check(target: Target, data: bytes, folder: Path) -> None:
    try:
        check(target, data)
    except Exception:
        (folder / f"crash-{sha256(data).hexdigest()}").write_bytes(data)
        raise


def main() -> None:
    """Fuzz a target."""
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    (with_atheris if atheris else with_hypothesis)(name, seconds, folder)


if __name__ == "__main__":
    main()
