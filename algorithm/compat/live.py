"""Whether the bridge speaks a release, tried out: one app natively and bridged, bit by bit."""

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from algorithm.attach import Attached, Attachment, local_carrier, local_stations
from algorithm.flower import Flower
from algorithm.on_superlink import Join, on_superlink
from algorithm.run import Outcome, run_app
from algorithm.screen import Screen
from algorithm.tapes import on_tape
from proxy.errors import BridgeError
from proxy.process import Workspace
from proxy.report import Observer

# Uses what all releases have in common, and of Flower's features what a bridge could break: floats
# of two kinds, replies of two types, the ClientApp's state.
APP = Path(__file__).parent / "app"
_STATIONS = 2
_DEADLINE_SECONDS = 300.0


@dataclass(frozen=True)
class NativeSuperNodes:
    """SuperNodes as a user would start them, without the bridge.

    Parameters
    ----------
    flower : Flower
        The environment that they are started from.
    """

    flower: Flower

    def __call__(
        self,
        superlink: str,
        folder: Path,
        observer: Observer,  # noqa: ARG002 - hears nothing: the bridge has no part in it
    ) -> ExitStack:
        """Start them; they end when what is returned is closed."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            for station in local_stations(_STATIONS, []):
                supernode = self.flower.start_supernode(
                    superlink,
                    station.node_config,
                    folder / f"flwr-{station.name}",
                    folder / f"{station.name}.log",
                )
                stack.callback(supernode.stop)
            return stack.pop_all()


def try_out(flower: Flower, tape: Path | None) -> str:
    """Run the app on a release natively, then through the bridge.

    Parameters
    ----------
    flower : Flower
        An environment with that release and numpy.
    tape : Path | None
        Where to record the native run, if anywhere.

    Returns
    -------
    str
        What went wrong; empty if both runs completed with the same results.
    """
    carrier = local_carrier(local_stations(_STATIONS, []), flower, warm=True)
    what = Attachment(carrier, _DEADLINE_SECONDS, flower.release)
    about = f"flwr {flower.release}; the app of flower-v6 compat"
    joins: dict[str, Join] = {
        "natively": on_tape(NativeSuperNodes(flower), tape, about),
        "bridged": partial(Attached, what),
    }
    with Workspace() as workspace, Path(os.devnull).open("w") as nowhere:
        results = []
        for name, join in joins.items():
            try:
                results.append(_run(flower, workspace.path / name, Screen(nowhere), join))
            except BridgeError as error:
                return f"{name}, the app does not run: {error}"
    natively, bridged = results
    if natively != bridged:
        return f"the results differ: natively {natively}, bridged {bridged}"
    return ""


def _run(flower: Flower, folder: Path, screen: Screen, join: Join) -> str:
    """Run the app; returns its results."""
    result = folder / "result.json"
    work = folder / "run"
    work.mkdir(parents=True)
    outcome = Outcome(str(APP), flower.release, "warm", stations=[])
    way = on_superlink([f"result={json.dumps(str(result))}"], flower, join)
    run_app(APP, way, work, screen, outcome)
    return result.read_text() if result.exists() else "none"
