"""Whether a release can be used, tried out: one app natively and in each mode, bit by bit."""

import json
import os
from pathlib import Path

from algorithm.flower.environment import Flower
from algorithm.monitoring.outcome import Outcome
from algorithm.monitoring.screen import Screen
from algorithm.runs.direct import DirectRun
from algorithm.runs.on_superlink import SuperLinkRun
from algorithm.runs.recording import Recording
from algorithm.runs.run import Run, run_app
from algorithm.runs.stations import LocalStations, local_stations
from proxy.calls import DEFAULT_LIFETIME, Mode
from proxy.errors import BridgeError
from proxy.system.process import Workspace

# Uses what all releases have in common, and of Flower's features what a bridge could break: floats
# of two kinds, replies of two types, the ClientApp's state.
APP = Path(__file__).parent / "app"
_STATIONS = 2
_DEADLINE_SECONDS = 300.0


class NativeRun(SuperLinkRun):
    """A run with SuperNodes as a user would start them, without the bridge."""

    def attach(self, superlink: str) -> None:
        """Start the SuperNodes."""
        folder = self.folder / "stations"
        folder.mkdir()
        for station in local_stations(_STATIONS, []):
            supernode = self.flower.start_supernode(
                superlink,
                station.node_config,
                folder / f"flwr-{station.name}",
                folder / f"{station.name}.log",
            )
            self.closing.callback(supernode.stop)


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
    recording = Recording(tape, f"flwr {flower.release}; the app of flower-v6 compat")
    names = ("natively", "bridged", *(["in direct mode"] if direct else []))
    ended, failed = {}, {}
    with Workspace() as workspace, Path(os.devnull).open("w") as nowhere:
        for name in names:
            try:
                ended[name] = _run(name, flower, workspace.path / name, Screen(nowhere), recording)
            except BridgeError as error:
                failed[name] = f"{name}, the app does not run: {error}"
    if "natively" in failed:
        return failed["natively"], ""
    for name, result in ended.items():
        if result != ended["natively"]:
            failed[name] = f"the results differ: natively {ended['natively']}, {name} {result}"
    return failed.get("bridged", ""), failed.get("in direct mode", "")


def _run(name: str, flower: Flower, folder: Path, screen: Screen, recording: Recording) -> str:
    """Run the app as the name says; recorded if natively. Returns its results."""
    result = folder / "result.json"
    work = folder / "run"
    work.mkdir(parents=True)
    outcome = Outcome(str(APP), flower.release, DEFAULT_LIFETIME, stations=[])
    stations = LocalStations(
        local_stations(_STATIONS, []),
        flower,
        _DEADLINE_SECONDS,
        warm=True,
        mode=Mode.DIRECT if name == "in direct mode" else Mode.BRIDGE,
    )
    shared = (APP, flower, work, screen, outcome, stations)
    config = [f"result={json.dumps(str(result))}"]
    run: Run
    match name:
        case "natively":
            run = NativeRun(*shared, config, recording)
        case "bridged":
            run = SuperLinkRun(*shared, config)
        case _:
            run = DirectRun(*shared, {"result": str(result)})
    run_app(run)
    return result.read_text() if result.exists() else "none"
