"""Going on with a run that was killed: what has to be the same, and what happens if it is not."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from algorithm.runs.run import Run, run_app
from proxy.central.memory import Differs
from proxy.errors import UsageError
from proxy.journal.journal import Journal

# Whose files an error names; the others are counted.
_MOST_NAMES = 3


def begin(
    run: Run, journal: Journal, fab: bytes, run_config: Any, fixed: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Begin a run, or go on with the one that a journal holds; see `Journal.begin`.

    Parameters
    ----------
    run : Run
        The run.
    journal : Journal
        The journal.
    fab : bytes
        The app, as Flower builds it.
    run_config : Any
        What overrides its run config, in JSON.
    fixed : Mapping[str, Any]
        What the run keeps however often it is started, if it is a new one.

    Raises
    ------
    UsageError
        If the run that has not ended is another one.
    """
    about = {
        "mode": run.outcome.mode,
        "Flower release": run.flower.release,
        "number or names of stations": list(run.stations.names),
        "node config": list(run.stations.node_configs),
        "run config": run_config,
        "app": _files(fab),
    }
    before = journal.history.run
    if before is not None and before.goes_on and before.about["mode"] == about["mode"]:
        about["app"] = _unchanged(journal, before.about["app"], about["app"])
    # That the ServerApp has just said something else, `run_on_journal` has said already.
    if before is not None and before.refused and not before.ended and journal.difference is None:
        run.screen.line(f"flower-v6 | the run begins anew: it could not go on. {before.refused}")
    kept = journal.begin(about, fixed)
    entry = journal.history.run
    if entry is not None and entry.resumed:
        answered = sum(message.is_known for message in entry.entries)
        began = datetime.fromtimestamp(entry.at).astimezone().isoformat(" ", "seconds")
        run.screen.line(
            f"flower-v6 | going on with the run that began at {began}: {answered} of its messages"
            " are answered from the journal"
        )
    return kept


def _files(fab: bytes) -> dict[str, str]:
    """Return the SHA-256 of each file of an app, but for Flower's list of them."""
    with zipfile.ZipFile(BytesIO(fab)) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.startswith(".info/")
        }


def _unchanged(journal: Journal, before: object, files: Mapping[str, str]) -> object:
    """Return the files that an app had when its run began, if it has them still.

    A run may have written others since: its ServerApp may work in the app's own folder.
    """
    if not isinstance(before, Mapping):  # of an older flower-v6
        return files
    changed = sorted(name for name, digest in before.items() if files.get(name) != digest)
    if changed:
        more = f" and {len(changed) - _MOST_NAMES} more" if len(changed) > _MOST_NAMES else ""
        raise UsageError(
            f"The journal {journal.folder} holds a run that has not ended, and its app has changed"
            f" since: {', '.join(changed[:_MOST_NAMES])}{more}.",
            "Give the app back the files that it had, or use another folder.",
        )
    return before


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
        for path in run.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        run_app(make())
