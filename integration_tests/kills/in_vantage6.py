"""`make kills-vantage6`: the same in a real vantage6 4.

    python -m integration_tests.kills.in_vantage6 N [SEED]

SIGKILL for N containers or nodes, in runs in direct and in bridge mode by turns: the central's
container together with its node, a host's, a courier's, or a node alone. A node that was killed is
started again.
"""

import sys
import time
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from integration_tests.kills.rules import STATIONS, Broken, Kill, Trained, check_result
from integration_tests.kills.table import Table, told
from integration_tests.vantage6.apps import image_builder
from integration_tests.vantage6.containers import Container, DockerError
from integration_tests.vantage6.faults import FaultsRun
from integration_tests.vantage6.stack import Collaboration, running_stack

_ROUNDS = 14
_KILLS = 6
_MODES = ("direct", "bridge")
_KINDS = ("central and its node", "central and its node", "host", "courier", "node")
# Longer than anything here takes, on a machine that is busy.
_PATIENCE_SECONDS = 900.0
# A courier lives for some seconds only.
_COURIER_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class Run:
    """A run in which some are killed.

    Parameters
    ----------
    collaboration : Collaboration
        Where; the first organization has the central.
    image : str
        Of the app `faults`.
    mode : str
        How the app runs.
    """

    def __init__(self, collaboration: Collaboration, image: str, mode: str) -> None:
        self._nodes = collaboration.nodes[:STATIONS]
        self._run = FaultsRun(
            collaboration,
            image,
            stations=range(STATIONS),
            config={"num-server-rounds": _ROUNDS},
            mode=mode,
        )
        self.kills: list[Kill] = []

    @property
    def trained(self) -> Trained:
        """What was trained so far."""
        return Trained.read(*self._run.journals.files)

    def disturb(self, chance: Random) -> None:
        """Kill, until the run has ended; raises `Broken` if a rule was."""
        try:
            for _ in range(_KILLS):
                trainings, late = chance.randint(1, 4), chance.uniform(0, 2)
                kind, station = chance.choice(_KINDS), chance.randrange(STATIONS)
                if self._await(trainings):
                    break
                time.sleep(late)
                at_round = self.trained.last_round
                if self._kill(kind, station):
                    self.kills.append(Kill(kind, f"{trainings} trainings later", at_round))
                    self.kills[-1].started_again = int("node" in kind)
            outcome = self._run.outcome(_PATIENCE_SECONDS)
            self.trained.check()
            written = b64decode(outcome["files"]["faults-result.json"]).decode()
            check_result(written, _ROUNDS, self.kills, central_may_cost=0)
        except (Broken, AssertionError) as error:
            raise Broken(f"{error}{told(self.kills)}\n{self._run.log}") from error

    def _await(self, trainings: int) -> bool:
        """Wait for so many more trainings; returns whether the run is in its last round."""
        due, give_up = len(self.trained.lines) + trainings, time.monotonic() + _PATIENCE_SECONDS
        while len(self.trained.lines) < due and self.trained.last_round < _ROUNDS:
            if time.monotonic() > give_up:
                raise Broken("nothing happens any more")
            time.sleep(_LOOK_SECONDS)
        return self.trained.last_round >= _ROUNDS

    def _kill(self, kind: str, station: int) -> bool:
        """Kill one, and start again what a node's owner would; returns whether it was there."""
        try:
            match kind:
                case "host":
                    self._run.container("host", station).kill()
                case "courier":
                    self._courier(station).kill()
                case "node":
                    self._nodes[station].kill()
                    self._nodes[station].start()
                case _:
                    central = self._run.central_container()
                    self._nodes[0].kill()
                    central.kill()
                    self._nodes[0].start()
        except (DockerError, LookupError, StopIteration, ValueError):
            return False
        return True

    def _courier(self, station: int) -> Container:
        """Return a courier's container that runs."""
        others = {self._run.central_container().run, self._run.container("host", station).run}
        give_up = time.monotonic() + _COURIER_SECONDS
        while time.monotonic() < give_up:
            for each in self._nodes[station].containers():
                if each.running and each.run > min(others) and each.run not in others:
                    return each
            time.sleep(_LOOK_SECONDS)
        raise LookupError


def main(arguments: Sequence[str]) -> int:
    """Kill as many as the arguments say; returns the exit code."""
    table, seed = Table(int(arguments[0])), arguments[1] if len(arguments) > 1 else "0"
    with running_stack() as stack, TemporaryDirectory() as folder:
        stack.plain.start()
        image = image_builder(stack.session, Path(folder))("faults")
        while not table.complete:
            mode = _MODES[table.runs % len(_MODES)]
            run = Run(stack.plain, image, mode)
            try:
                run.disturb(Random(f"{seed}/{table.runs}"))  # noqa: S311 - nothing is secret
            except Broken as broken:
                table.add_broken(f"vantage6, {mode} mode", broken)
            else:
                table.add(f"vantage6, {mode} mode", run.kills)
    return table.show()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
