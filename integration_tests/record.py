"""Records the tapes in `integration_tests/tapes/`.

    python -m integration_tests.record [RELEASE...]

Each is a native run of the app `taped`: a SuperLink, two SuperNodes, two rounds, no bridge; only
the recorder of `flower-v6 record` between them. A release's environment is made when missing.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

from algorithm.compat.environment import environment
from algorithm.flower.environment import Flower
from integration_tests.harness import finish, superlink
from proxy.tapes.record import Recorder
from proxy.tapes.replay import replay
from proxy.tapes.tape import read_tape

TAPES = Path(__file__).parent / "tapes"
ENVIRONMENTS = Path(__file__).parents[1] / ".venv-flwr"
# At least one release of each era, and those that other projects broke with.
RELEASES = (
    *("1.15.2", "1.18.0", "1.19.0", "1.20.0", "1.22.0", "1.23.0", "1.26.1", "1.29.0"),
    *("1.32.1", "1.33.0", "1.36.0", "1.39.0", "1.40.0", "1.41.0", "1.42.0"),
)
_STATIONS = 2
# What both stations count: a train and an evaluate message each round, and one exception.
_COUNTS = [[1, 1], [2, 2], [3], [4, 4]]


def record(release: str, tape: Path) -> None:
    """Record a native run of the app `taped` with a release of Flower."""
    flower = Flower(environment(release, ENVIRONMENTS))
    about = f"flwr {release}; app integration_tests/apps/taped, {_STATIONS} SuperNodes"
    with tempfile.TemporaryDirectory(prefix="flower-v6-tape-") as name, ExitStack() as stack:
        folder = Path(name)
        federation = stack.enter_context(superlink(flower, folder / "superlink"))
        recorder = Recorder(federation.address, "127.0.0.1:0", tape, about)
        stack.callback(recorder.close)
        for index in range(_STATIONS):
            supernode = flower.start_supernode(
                recorder.address,
                f"partition-id={index} num-partitions={_STATIONS}",
                folder / f"flwr-{index}",
                folder / f"supernode-{index}.log",
            )
            stack.callback(supernode.stop)
        result = folder / "result.json"
        submission = federation.submit("taped", result=result)
        finish(submission)
        counts = [each["counts"] for each in json.loads(result.read_text())]
        assert counts == _COUNTS, f"{counts}\n{submission.log_tail(40)}"


def contents_page() -> str:
    """Return what `tapes/README.md` says: how each tape there was recorded."""
    lines = [
        "# Tapes",
        "",
        "What real SuperLinks and SuperNodes said to each other, one native run of the app",
        "[taped](../apps/taped) each, with two SuperNodes. `flower-v6 replay` holds the bridge",
        "against them; [proxy/tapes/tape.py](../../proxy/tapes/tape.py) describes the file,",
        "[proxy/tapes/replay](../../proxy/tapes/replay/__init__.py) what may differ.",
        "`make tapes RELEASES=…` records one, and writes this page.",
        "",
        "| Tape | Fleet API | Recorded | Calls | Bytes |",
        "|---|---|---|---|---|",
    ]
    for path in sorted(TAPES.glob("*.tape")):
        tape = read_tape(path)
        lines.append(
            f"| `{path.name}` | {tape.header.transport} | {tape.header.recorded_at[:10]}"
            f" | {len(tape.calls)} | {path.stat().st_size} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Record what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m integration_tests.record")
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help="default: all we have")
    for release in parser.parse_args().releases or RELEASES:
        tape = TAPES / f"{release}.tape"
        record(release, tape)
        print(replay(read_tape(tape)))
    (TAPES / "README.md").write_text(contents_page())


if __name__ == "__main__":
    main()
