"""Runs on this machine, and what an operator does for them: start again what has ended."""

import json
import os
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path

from algorithm.flower.environment import Flower
from integration_tests.harness import APPS, COMMAND, Federation, run_config, superlink
from integration_tests.kills.rules import Broken, Trained
from proxy.system.process import Process

# Longer than anything here takes, on a machine that is busy.
PATIENCE_SECONDS = 400.0


class Course(ABC):
    """One run, which is under way until it is `over`.

    Attributes
    ----------
    folder : Path
        An existing, empty folder for all of it.
    rounds : int
        How many it has.
    most_kills : int
        How many processes are killed in it, at most.
    seconds : float
        How long it takes, as a rule, until much has happened.
    central_may_cost : int
        How many error replies the kill of a central may cost.
    ends_with : frozenset[str]
        What has to be started again when it was killed.
    lost_with : frozenset[str]
        Whose kill may end the run for good.
    not_ours : frozenset[str]
        What is never killed.
    """

    rounds = 10
    most_kills = 8
    seconds: float
    central_may_cost = 0
    ends_with: frozenset[str]
    lost_with: frozenset[str] = frozenset()
    not_ours: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._closing = ExitStack()
        self._starts = 0
        self._central: Process | None = None

    @property
    def journal(self) -> Path:
        """The file with the central's records."""
        return self.folder / "journal" / "journal"

    @property
    def trained(self) -> Trained:
        """What was trained so far."""
        return Trained.read(self.folder / "trained")

    @property
    def result(self) -> str:
        """What the ServerApp wrote."""
        return (self.folder / "result.json").read_text()

    @property
    def config(self) -> dict[str, object]:
        """The app's run config."""
        return {
            "num_server_rounds": self.rounds,
            "result": self.folder / "result.json",
            "journal": self.folder / "trained",
        }

    @abstractmethod
    def command(self) -> list[str]:
        """Return the arguments of `flower-v6`."""

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether the run has ended, well or for good."""

    @property
    def failed(self) -> bool:
        """Whether it has ended otherwise than well."""
        return False

    @property
    def idle(self) -> bool:
        """Whether the central has nothing left to do, as far as its journal knows."""
        return False

    def start_central(self) -> None:
        """Start the central, as an operator does: nobody keeps it."""
        self._starts += 1
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        if self._central is not None:
            self._central.stop()
        self._central = Process(
            [COMMAND, *self.command()],
            {**os.environ, "TMPDIR": str(scratch)},
            self.folder / f"central-{self._starts}.log",
            grace=60.0,
            alone=True,
        )

    def has_to_be_started_again(self) -> bool:
        """Whether the central has ended before the run has."""
        assert self._central is not None
        return not self.over and not self._central.running

    def log(self) -> str:
        """The end of what the central wrote last."""
        assert self._central is not None
        return self._central.log_tail(30)

    def start(self) -> None:
        """Start all of it."""
        self.start_central()

    def stop(self) -> None:
        """End all of it."""
        assert self._central is not None
        asked = time.monotonic()
        self._central.stop()
        took = time.monotonic() - asked
        self._closing.close()
        if took > 50.0:
            raise Broken(f"the central took {took:.0f} s to end")


class Called(Course):
    """`flower-v6 run --resume`, called again until it ends well."""

    mode: str

    def command(self) -> list[str]:
        """Return the arguments of `flower-v6`."""
        return [
            *("run", str(APPS / "faults"), "--mode", self.mode, "--deadline", "150"),
            *("--resume", str(self.folder / "journal"), "--run-config", run_config(**self.config)),
        ]

    @property
    def over(self) -> bool:
        """Whether it has ended well."""
        return self._central is not None and self._central.exit_code == 0


class InDirectMode(Called):
    """Without SuperLink and SuperNodes."""

    mode = "direct"
    rounds = 25
    most_kills = 16
    seconds = 6.0
    ends_with = frozenset({"central", "ServerApp"})


class InBridgeMode(Called):
    """With a SuperLink that ends with the central."""

    mode = "bridge"
    seconds = 25.0
    ends_with = frozenset(
        {"central", "ServerApp", "SuperLink", "SuperLink's SuperExec", "flwr run"}
    )


class OnSuperLink(Course):
    """`flower-v6 attach --journal` at a SuperLink that lives on."""

    seconds = 15.0
    central_may_cost = 2  # what a ClientApp had is not trained again
    ends_with = frozenset({"central"})
    lost_with = frozenset({"ServerApp", "SuperLink"})
    # A SuperLink without its SuperExec never starts a ServerApp, and its operator would not know.
    not_ours = frozenset(
        {"flwr run", "keeper of flwr run", "keeper of SuperLink", "SuperLink's SuperExec"}
    )

    def __init__(self, folder: Path, flower: Flower) -> None:
        super().__init__(folder)
        self._flower = flower
        self._federation: Federation | None = None
        self._submission: Process | None = None

    def command(self) -> list[str]:
        """Return the arguments of `flower-v6`."""
        assert self._federation is not None
        return [
            *("attach", "--superlink", self._federation.address, "--stations", "2"),
            *("--flower-env", str(self._flower.folder), "--deadline", "150"),
            *("--journal", str(self.folder / "journal")),
        ]

    def start(self) -> None:
        """Start the SuperLink, the run, and the central."""
        self._federation = self._closing.enter_context(
            superlink(self._flower, self.folder / "superlink")
        )
        self._submission = self._federation.submit("faults", **self.config)
        self._closing.callback(self._submission.stop)
        self.start_central()

    def has_to_be_started_again(self) -> bool:
        """Whether the central has ended before the run has, and there is a SuperLink for it."""
        return super().has_to_be_started_again() and "No SuperLink answers" not in self.log()

    @property
    def over(self) -> bool:
        """Whether Flower says that the run has ended."""
        return self._submission is not None and not self._submission.running

    @property
    def failed(self) -> bool:
        """Whether it did not end well."""
        result = self.folder / "result.json"
        return self.over and (not result.exists() or self.result.count('"seconds"') < self.rounds)

    @property
    def idle(self) -> bool:
        """Whether each message that was noted has its reply."""
        records = [json.loads(line[9:]) for line in self.journal.read_text().splitlines()[1:]]
        latest = {each["message"]: each["event"] for each in records if "message" in each}
        return {"pushed", "dropped"} >= set(latest.values())
