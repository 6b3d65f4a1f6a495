"""Whether a release can be used, tried out: one app natively and in each mode, bit by bit."""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from algorithm.flower.environment import Flower
from algorithm.runs.attach import Attached, Attachment, local_carrier, local_stations
from algorithm.runs.direct import directly
from algorithm.runs.on_superlink import on_superlink
from algorithm.runs.outcome import Outcome
from algorithm.runs.recording import on_tape
from algorithm.runs.run import Way, run_app
from algorithm.runs.screen import Screen
from algorithm.station.runtimes import BRIDGE, DIRECT
from proxy.calls import DEFAULT_LIFETIME, Mode
from proxy.central.report import Observer
from proxy.errors import BridgeError
from proxy.system.process import Workspace

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


def try_out(flower: Flower, tape: Path | None, direct: bool) -> tuple[str, str]:
    """Run the app on a release natively, then through the bridge, then in direct mode.

    Parameters
    ----------
    flower : Flower
        An environment with that release and numpy.
    tape : Path | None
        Where to record the native run, if anywhere.
    direct : bool
        Whether there is a direct mode for the release.

    Returns
    -------
    tuple[str, str]
        What went wrong in bridge mode, and in direct mode; empty if the results are the native
        ones.
    """
    about = f"flwr {flower.release}; the app of flower-v6 compat"
    ways: dict[str, Callable[[str], Way]] = {
        "natively": lambda result: on_superlink(
            [f"result={json.dumps(result)}"], flower, on_tape(NativeSuperNodes(flower), tape, about)
        ),
        "bridged": lambda result: on_superlink(
            [f"result={json.dumps(result)}"], flower, partial(Attached, _stations(flower, BRIDGE))
        ),
    }
    if direct:
        ways["in direct mode"] = lambda result: directly(
            {"result": result}, flower, _stations(flower, DIRECT)
        )
    ended, failed = {}, {}
    with Workspace() as workspace, Path(os.devnull).open("w") as nowhere:
        for name, way in ways.items():
            try:
                ended[name] = _run(flower, workspace.path / name, Screen(nowhere), way)
            except BridgeError as error:
                failed[name] = f"{name}, the app does not run: {error}"
    if "natively" in failed:
        return failed["natively"], ""
    for name, result in ended.items():
        if result != ended["natively"]:
            failed[name] = f"the results differ: natively {ended['natively']}, {name} {result}"
    return failed.get("bridged", ""), failed.get("in direct mode", "")


def _stations(flower: Flower, mode: Mode) -> Attachment:
    carrier = local_carrier(local_stations(_STATIONS, []), flower, warm=True, mode=mode)
    return Attachment(carrier, _DEADLINE_SECONDS, flower.release)


def _run(flower: Flower, folder: Path, screen: Screen, way: Callable[[str], Way]) -> str:
    """Run the app; returns its results."""
    result = folder / "result.json"
    work = folder / "run"
    work.mkdir(parents=True)
    outcome = Outcome(str(APP), flower.release, DEFAULT_LIFETIME, stations=[])
    run_app(APP, way(str(result)), work, screen, outcome)
    return result.read_text() if result.exists() else "none"
