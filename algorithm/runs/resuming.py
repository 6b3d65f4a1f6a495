"""Going on with a run that was killed: what has to be the same, and what happens if it is not."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from algorithm.runs.run import Run, run_app
from proxy.central.journal import Journal
from proxy.central.replay import Differs


def about_run(run: Run, fab: bytes, run_config: Any) -> dict[str, Any]:
    """Return what has to be the same for a run to go on, by names for people."""
    return {
        "app": _content_of(fab),
        "run config": run_config,
        "mode": run.outcome.mode,
        "Flower release": run.flower.release,
        "number or names of stations": list(run.stations.names),
    }


def _content_of(fab: bytes) -> str:
    """Return a hash over an app's files: two builds of it may differ in their times."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(BytesIO(fab)) as archive:
        for name in sorted(archive.namelist()):
            content = archive.read(name)
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    return digest.hexdigest()


def stations_folder(folder: Path, journal: Journal | None) -> Path:
    """Return the folder in which stations on this machine have theirs; it is there.

    With a journal they survive: what was trained, replies, and in direct mode the Contexts.
    """
    if journal is not None:
        return journal.work
    stations = folder / "stations"
    stations.mkdir(exist_ok=True)
    return stations


def run_on_journal(make: Callable[[], Run], journal: Journal | None) -> None:
    """Run an app; where a journal has the beginning of the run, from there.

    If the ServerApp does not say again what it said, the run begins anew. That it has ended is for
    the caller to note, once its outcome is safe.

    Parameters
    ----------
    make : Callable[[], Run]
        Makes the run; called once more if it begins anew.
    journal : Journal | None
        The journal that the run was given.

    Raises
    ------
    BridgeError
        If the run did not complete.
    """
    run = make()
    try:
        run_app(run)
    except Differs as difference:
        assert journal is not None  # noqa: S101 - nobody else says so
        journal.refuse(difference.message)
        run.screen.line(
            f"flower-v6 | the run begins anew: it cannot go on where it was. {difference}"
        )
        for left in run.folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        run_app(make())
