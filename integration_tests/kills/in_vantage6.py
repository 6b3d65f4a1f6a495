"""`make kills-vantage6`: the same in a real vantage6 4, whose nodes start containers.

    python -m integration_tests.kills.in_vantage6 N [SEED]

SIGKILL for N containers, processes in them, or nodes, in runs in direct and in bridge mode. The
central has a node of its own; a node that was killed is started again. What has to hold is what
holds on one machine (`rules`), and what docs/vantage6.md says of nodes:

- a central that is killed together with its node goes on, and that costs nothing;
- one that is killed alone ends the run: vantage6 reports it as crashed, and its hosts end;
- a station's node that is killed costs one error reply, which comes at the deadline.
"""

import os
import signal
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, mkdtemp
from typing import TypeVar

from integration_tests.harness import command_line, wait_until
from integration_tests.kills.rules import STATIONS, Broken, Kill, Trained, check_result
from integration_tests.kills.table import Table, told
from integration_tests.test_vantage6_resume import kill_with_node
from integration_tests.vantage6.apps import image_builder
from integration_tests.vantage6.containers import Container, DockerError
from integration_tests.vantage6.faults import FaultsRun
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration, running_stack

_ROUNDS, _MOST_KILLS = 14, 9
# On a machine that is too busy a step of a second takes a minute and a half.
_DEADLINE_SECONDS = 180.0
# Longer than anything here takes, on a machine that is busy.
_PATIENCE_SECONDS = 600.0
# A courier lives for some seconds only, and a ClientApp is started when it is needed.
_FIND_SECONDS = 20.0
_LOOK_SECONDS = 0.05
# Of the third organization, where no station is.
_CENTRALS_NODE = STATIONS
_ENDS_RUN, _ENDS_SHARE = "central alone", 0.2
# A run in direct mode takes the least, so it is had most.
_MODES = ("direct", "direct", "bridge")
Found = TypeVar("Found")


class Disturbed:
    """A run in which something is killed now and then.

    Parameters
    ----------
    collaboration : Collaboration
        Where it runs; all nodes are online.
    image : str
        Of the app `faults`.
    mode : str
        How the app runs.
    chance : Random
        Says what is killed when.
    """

    def __init__(self, collaboration: Collaboration, image: str, mode: str, chance: Random) -> None:
        self.nodes = collaboration.nodes
        self._chance = chance
        self.run = FaultsRun(
            collaboration,
            image,
            stations=range(STATIONS),
            config={"num-server-rounds": _ROUNDS},
            central=_CENTRALS_NODE,
            mode=mode,
            deadline=_DEADLINE_SECONDS,
        )
        self.kills: list[Kill] = []
        self._killed_nodes: set[int] = set()

    @property
    def trained(self) -> Trained:
        """What was trained so far."""
        return Trained.read(*self.run.journals.files)

    def disturb(self) -> None:
        """Kill until it is over; raises `Broken` if a rule was."""
        try:
            if self._chance.random() < _ENDS_SHARE:  # alone: without a result nothing is compared
                self._kill(_ENDS_RUN, self._await_moment())
            else:
                self._kill_several()
            self._check()
        except (AssertionError, DockerError, Broken) as error:
            raise Broken(f"{error}{told(self.kills)}") from error

    def _kill_several(self) -> None:
        for _ in range(self._chance.randint(_MOST_KILLS // 2, _MOST_KILLS)):
            moment = self._await_moment()
            if self.trained.last_round >= _ROUNDS:
                break
            self._kill(self._chance.choice(_KINDS), moment)

    def _await_moment(self) -> str:
        """Wait for the next kill's moment; returns which it is."""
        trainings, seconds = self._chance.randint(1, 3), self._chance.uniform(0, 15)
        if self._chance.random() < 0.4 and self.kills:
            time.sleep(seconds)
            return f"{seconds:.1f} s later"
        due = min(len(self.trained.lines) + trainings, _ROUNDS * STATIONS)
        wait_until(
            lambda: len(self.trained.lines) >= due or self.trained.last_round >= _ROUNDS,
            "something is trained",
            _PATIENCE_SECONDS,
            _LOOK_SECONDS,
        )
        time.sleep(late := self._chance.choice((0.0, 0.3, 2.0)))
        return f"{late:.1f} s after {trainings} trainings more"

    def _kill(self, kind: str, moment: str) -> None:
        """Kill something, if it is there."""
        done = Kill(kind, moment, self.trained.last_round, started_again=int("node" in kind))
        try:
            _KILLING[kind](self, self._chance.randrange(STATIONS))
        except (LookupError, StopIteration, ValueError, ProcessLookupError, DockerError):
            for node in self.nodes:  # it has ended meanwhile, but perhaps not its node
                if not node.running:
                    node.start()
        else:
            self.kills.append(done)

    def kill_central(self, _: int) -> None:
        """Kill the central together with its node, which starts it again."""
        kill_with_node(self.nodes[_CENTRALS_NODE], self.run.central_container())

    def kill_central_alone(self, _: int) -> None:
        """Kill the central's container only."""
        self.run.central_container().kill()

    def kill_host(self, station: int) -> None:
        """Kill a station's host."""
        self.run.container("host", station).kill()

    def kill_courier(self, station: int) -> None:
        """Kill a courier when there is one."""
        _when_there(lambda: self._courier(station)).kill()

    def kill_client_app(self, station: int) -> None:
        """Kill a ClientApp's process, when there is one."""
        host = self.run.container("host", station)
        os.kill(_when_there(lambda: _client_app(host)), signal.SIGKILL)

    def kill_node(self, station: int) -> None:
        """Kill a station's node, and start it again; once only, see `kill_what_is_open`."""
        if station in self._killed_nodes:
            raise LookupError
        self._killed_nodes.add(station)
        self.nodes[station].kill()
        self.nodes[station].start()

    def _courier(self, station: int) -> Container | None:
        host = self.run.container("host", station).run
        running = [each for each in self.nodes[station].containers() if each.running]
        return next((each for each in running if each.run > host), None)

    def _check(self) -> None:
        """Wait until it has ended; hold what it left against the rules."""
        if any(each.kind == _ENDS_RUN for each in self.kills):
            status = self.run.status(_PATIENCE_SECONDS)
            if status != "crashed":
                raise Broken(f"vantage6 says {status!r} of a central that was killed")
            self.kills[-1].run_failed = True
        else:
            outcome = self.run.outcome(_PATIENCE_SECONDS)
            written = b64decode(outcome["files"]["faults-result.json"]).decode()
            check_result(written, _ROUNDS, self.kills, central_may_cost=0)
        self.trained.check()
        wait_until(
            lambda: not any(each.running for each in self.run.containers()),
            "all its containers have ended",
            _PATIENCE_SECONDS,
        )


_KILLING: Mapping[str, Callable[[Disturbed, int], None]] = {
    "central and its node": Disturbed.kill_central,
    _ENDS_RUN: Disturbed.kill_central_alone,
    "host": Disturbed.kill_host,
    "courier": Disturbed.kill_courier,
    "ClientApp": Disturbed.kill_client_app,
    "station's node": Disturbed.kill_node,
}
# Of the first there have to be enough.
_KINDS = ("central and its node",) * 3 + ("host", "courier", "ClientApp", "station's node")


def _client_app(host: Container) -> int | None:
    found = (pid for pid in sorted(host.processes()) if "clientapp" in command_line(pid))
    return next(found, None)


def _when_there(look: Callable[[], Found | None]) -> Found:
    """Return what is found as soon as it is there; raises LookupError if it does not come."""
    give_up = time.monotonic() + _FIND_SECONDS
    while time.monotonic() < give_up:
        if (found := look()) is not None:
            return found
        time.sleep(_LOOK_SECONDS)
    raise LookupError


def _keep_logs(disturbed: Disturbed) -> Path:
    folder = Path(mkdtemp(prefix="kills-"))
    (folder / "central.log").write_text(disturbed.run.log)
    for node in disturbed.nodes:
        (folder / f"{node.organization.name}.log").write_text(node.log)
    return folder


def main() -> int:
    """Kill as many as the command line says; returns the exit code."""
    table, seed = Table(int(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "0"
    with running_stack() as stack, TemporaryDirectory() as images:
        image = image_builder(stack.session, Path(images))("faults")
        stack.plain.start()
        while not table.complete:
            mode = _MODES[table.runs % len(_MODES)]
            chance = Random(f"{seed}/{table.runs}")  # noqa: S311 - nothing is secret
            disturbed = Disturbed(stack.plain, image, mode, chance)
            try:
                disturbed.disturb()
            except Broken as broken:
                table.add_broken(f"vantage6, {mode} mode", broken, _keep_logs(disturbed))
            else:
                table.add(f"vantage6, {mode} mode", disturbed.kills)
            Researcher(stack.plain).kill_what_is_open()
    return table.show()


if __name__ == "__main__":
    sys.exit(main())
