"""`make kills`: runs in which a process that is chosen at random is killed at a random moment.

    python -m integration_tests.kills 100

Each run is `flower-v6 run --resume` of the app `faults`, in direct or in bridge mode, by turns. At
some moment of it one process gets SIGKILL: the central itself, or one below it. Then has to hold:

- the run ends, and so does all that it started;
- no message is trained twice, also not when the run is called again and goes on;
- a run whose central was killed, called again, has the result of one that nobody disturbed;
- another kill costs error replies, or the run, with an error that says so.

The table at the end says what happened, by what was killed. A line that begins with BROKEN says
which run broke which rule, and where its files are.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psutil

from integration_tests.harness import APPS, COMMAND, alive, descendants, run_config, start
from proxy.system.process import Process

_PATIENCE_SECONDS = 240.0
_ENDS_SECONDS = 30.0
_ROUNDS = 4
# The first that fits counts.
_KINDS = (
    ("keeper.py", "keeper"),
    ("run_serverapp", "ServerApp"),
    ("flwr-serverapp", "ServerApp"),
    ("run_clientapp", "ClientApp"),
    ("flwr-clientapp", "ClientApp"),
    ("flower-superlink", "SuperLink"),
    ("flower-supernode", "SuperNode"),
    ("superexec", "SuperExec"),
    ("-m algorithm", "function"),
    (f"{COMMAND} run", "central"),
)


@dataclass
class Run:
    """One run, in a folder of its own."""

    mode: str
    folder: Path

    @property
    def result(self) -> list[list[object]]:
        """The values that the stations answered, by round; empty if there is no result."""
        path = self.folder / "result.json"
        if not path.exists():
            return []
        rounds = json.loads(path.read_text())["rounds"]
        return [[reply["value"] for reply in each["replies"]] for each in rounds]

    @property
    def trained(self) -> list[str]:
        """The messages that ClientApps had, as often as they had them."""
        path = self.folder / "trained"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def start(self, name: str) -> Process:
        """Start it, or go on with it."""
        config = run_config(
            num_server_rounds=_ROUNDS,
            sleep_seconds=0.5,
            sleep_partition=0,
            result=self.folder / "result.json",
            journal=self.folder / "trained",
        )
        return start(
            *("run", str(APPS / "faults"), "--mode", self.mode, "--run-config", config),
            *("--resume", str(self.folder / "journal")),
            log=self.folder / f"{name}.log",
        )


def kind_of(pid: int) -> str:
    """Return what a process is, in our words; empty if that does not show, or it has ended."""
    try:
        process = psutil.Process(pid)
        line = " ".join(process.cmdline())
        kind = next((kind for part, kind in _KINDS if part in line), "")
        if kind == "function":  # a host has processes of its own
            return "host" if process.children() else "courier"
    except psutil.Error:
        return ""
    return kind


def kill_one(run: Process, chance: random.Random) -> str:
    """Kill a process of the run, of a kind that is chosen first; returns which kind that was."""
    by_kind: dict[str, list[int]] = {}
    for pid in descendants(os.getpid()):
        if kind := kind_of(pid):
            by_kind.setdefault(kind, []).append(pid)
    if not by_kind or not run.running:
        return ""
    kind = chance.choice(sorted(by_kind))
    # Every third one is a central: of those there has to be enough.
    if "central" in by_kind and chance.random() < 0.3:
        kind = "central"
    try:
        os.kill(chance.choice(by_kind[kind]), signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return kind


def broken_rule(run: Run, kind: str, code: int | None, expected: list[list[object]]) -> str:
    """Return which rule a run broke that has ended; empty if none."""
    if len(run.trained) != len(set(run.trained)):
        return "a message was trained twice"
    if kind == "central" and run.result != expected:
        return f"the result is {run.result} instead of {expected}"
    if code == 0 and len(run.result) != _ROUNDS:
        return "the run ended well and has no whole result"
    return ""


def one(mode: str, chance: random.Random, seconds: float, expected: list[list[object]]) -> str:
    """Have one run, kill one process of it; returns what happened."""
    run = Run(mode, Path(mkdtemp(prefix="kills-")))
    process = run.start("first")
    broken = outcome = ""
    try:
        process.wait(chance.uniform(0.05, 1.0) * seconds)
        below = descendants(os.getpid())
        kind = kill_one(process, chance)
        if not process.wait(_PATIENCE_SECONDS):
            broken, outcome = "the run hangs", "hangs"
        else:
            outcome = "goes on, and ends well" if process.exit_code == 0 else "ends with an error"
            errors = sum(each.count(None) for each in run.result)
            if process.exit_code == 0 and errors:
                outcome = f"ends well, with {errors} error replies"
        give_up = time.monotonic() + _ENDS_SECONDS
        while (left := alive(below)) and not broken:
            if time.monotonic() > give_up:
                broken = f"{len(left)} processes are left"
            time.sleep(0.2)
        code = process.exit_code
        if code != 0 and not broken:
            process = run.start("second")
            if not process.wait(_PATIENCE_SECONDS):
                broken = "the run hangs when it is called again"
            else:
                code = process.exit_code
                how = "ends well" if code == 0 else "ends with an error"
                outcome += f"; called again, it {how}"
        broken = broken or broken_rule(run, kind, code, expected)
    finally:
        process.stop()
    if broken:
        print(f"BROKEN ({mode}, {kind} killed): {broken}; see {run.folder}", flush=True)
    else:
        shutil.rmtree(run.folder, ignore_errors=True)
    return f"{kind or 'nobody'}|{mode}|{broken or outcome}"


def main() -> int:
    """Have as many runs as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m integration_tests.kills")
    parser.add_argument("runs", type=int, nargs="?", default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311 - no secret
    seconds: dict[str, float] = {}
    expected: dict[str, list[list[object]]] = {}
    for mode in ("direct", "bridge"):
        run = Run(mode, Path(mkdtemp(prefix="kills-")))
        began = time.monotonic()
        process = run.start("undisturbed")
        if not process.wait(_PATIENCE_SECONDS) or process.exit_code != 0:
            print(f"The undisturbed run fails:\n{process.log_tail(40)}")
            return 1
        seconds[mode], expected[mode] = time.monotonic() - began, run.result
        shutil.rmtree(run.folder, ignore_errors=True)
    table: Counter[str] = Counter()
    for number in range(given.runs):
        mode = ("direct", "bridge")[number % 2]
        row = one(mode, chance, seconds[mode], expected[mode])
        table[row] += 1
        print(f"{number + 1}: {row.replace('|', ', ')}", flush=True)
    print("\n| killed | mode | what happened | times |\n|---|---|---|---|")
    for row, times in sorted(table.items()):
        print(f"| {' | '.join(row.split('|'))} | {times} |")
    return int("BROKEN" in str(table) or any("hangs" in row for row in table))


if __name__ == "__main__":
    sys.exit(main())
