"""Going on with a run that was killed: what has to be the same, and what happens if it is not."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from algorithm.runs.run import Run, run_app
from proxy.central.journal import Journal
from proxy.central.replay import Differs


def begin(
    run: Run, journal: Journal, app: str, run_config: Any, fixed: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Begin a run, or go on with the one that a journal holds; see `Journal.begin`.

    Parameters
    ----------
    run : Run
        The run.
    journal : Journal
        The journal.
    app : str
        What only this app has: see `in_fab` and `in_folder`.
    run_config : Any
        What overrides its run config, in JSON.
    fixed : Mapping[str, Any]
        What the run keeps however often it is started, if it is a new one.
    """
    about = {
        "app": app,
        "run config": run_config,
        "mode": run.outcome.mode,
        "Flower release": run.flower.release,
        "number or names of stations": list(run.stations.names),
        "node config": list(run.stations.node_configs),
    }
    kept = journal.begin(about, fixed)
    entry = journal.history.run
    if entry is not None and entry.resumed:
        answered = sum(each.is_known for each in entry.entries)
        began = datetime.fromtimestamp(entry.at).astimezone().isoformat(" ", "seconds")
        run.screen.line(
            f"flower-v6 | going on with the run that began at {began}: {answered} of its messages"
            " are answered from the journal"
        )
    return kept


def in_fab(fab: bytes) -> str:
    """Return a hash over an app's files: two builds of it may differ in their times."""
    with zipfile.ZipFile(BytesIO(fab)) as archive:
        return _hash((name, archive.read(name)) for name in sorted(archive.namelist()))


def in_folder(app: Path) -> str:
    """Return a hash over the files of an app's copy, but for what Python leaves there."""
    files = sorted(path for path in app.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return _hash((str(path.relative_to(app)), path.read_bytes()) for path in files)


def _hash(files: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(b"%s\0%d\0%s" % (os.fsencode(name), len(content), content))
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
