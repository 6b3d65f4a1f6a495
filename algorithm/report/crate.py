"""Writes a run as an RO-Crate, which repositories understand: its files, and what they are.

It follows the Process Run Crate profile (https://w3id.org/ro/wfrun/process/0.5): the run is an
action, the app its instrument, and what the run left its result.
"""

import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from algorithm.report.page import headline
from algorithm.report.reading.results import PAGE, File, Results
from algorithm.report.steps import Timeline, timeline_of
from proxy import __version__
from proxy.errors import AppError, UsageError, reason_of

_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
# What RO-Crate 1.1 has no word for.
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
_FLOWER = "https://flower.ai"
# RO-Crate demands one, which only those can choose whose results these are.
_NO_LICENCE = {
    "@id": "#licence",
    "@type": "CreativeWork",
    "name": "No licence chosen yet",
    "description": "Whoever deposits this crate chooses its licence.",
}
_STATUS = {
    "completed": "http://schema.org/CompletedActionStatus",
    "failed": "http://schema.org/FailedActionStatus",
    "cancelled": "http://schema.org/FailedActionStatus",
}


def write_crate(results: Results, page: str, path: Path) -> None:
    """Write a crate, a zip file, with all files of a run and its page.

    Raises
    ------
    UsageError
        If the package rocrate is missing, the file is there already, or is to be among the results.
    AppError
        If it cannot be written.
    """
    try:
        from rocrate.rocrate import ROCrate  # noqa: PLC0415 (of an extra)
    except ImportError as error:
        raise UsageError(
            "A crate needs the package rocrate, which is not installed.",
            "Install it with: pip install 'flower-v6[report]'",
        ) from error
    if path.suffix != ".zip":
        raise UsageError(f"{path} is no name of a zip file.", "Name a file that ends with .zip.")
    if path.exists():
        raise UsageError(f"{path} is there already.", "Name another file, or move it away.")
    crate = ROCrate(version="1.1")  # what the profile is written for
    _describe(crate, results, timeline_of(results.outcome))
    try:
        with TemporaryDirectory() as folder:
            made = Path(folder, PAGE)
            made.write_text(page, encoding="utf-8")
            crate.add_file(made, PAGE, properties=_page_properties())
            crate.write_zip(path)
    except OSError as error:
        raise AppError(f"{path} cannot be written: {reason_of(error)}.") from error


def _describe(crate: Any, results: Results, timeline: Timeline) -> None:
    """Add what ran, and what it left."""
    outcome = results.outcome
    crate.name = f"A run of {outcome.app}"
    crate.description = headline(results, timeline)
    crate.metadata.extra_contexts.append(_TERMS)
    profile = crate.add_jsonld(
        {
            "@id": _PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": "0.5",
        }
    )
    crate.root_dataset["conformsTo"] = profile
    crate.root_dataset["license"] = crate.add_jsonld(dict(_NO_LICENCE))
    flower = crate.add_jsonld(
        {**_software(_FLOWER, "Flower", outcome.flower_release), "url": _FLOWER}
    )
    bridge = crate.add_jsonld(_software("#flower-v6", "flower-v6", outcome.bridge_release))
    app = crate.add_jsonld(
        {
            "@id": "#app",
            "@type": "SoftwareApplication",
            "name": outcome.app,
            "softwareRequirements": [{"@id": flower.id}, {"@id": bridge.id}],
            **({"identifier": f"sha256:{results.fab_hashes[0]}"} if results.fab_hashes else {}),
        }
    )
    files = [_add(crate, file) for file in results.files]
    action = crate.add_action(
        app,
        identifier=f"#run-{outcome.flower_run or 'unknown'}",
        result=files,
        properties={
            "name": f"The run of {outcome.app}",
            "description": f"{outcome.mode} mode at {len(outcome.stations)} stations",
            "actionStatus": _STATUS[outcome.status],
            **({"error": outcome.cause} if outcome.cause else {}),
            **_times(timeline),
        },
    )
    crate.root_dataset["mentions"] = action


def _software(identifier: str, name: str, release: str) -> dict[str, Any]:
    return {
        "@id": identifier,
        "@type": "SoftwareApplication",
        "name": name,
        "version": release or "unknown",
    }


def _add(crate: Any, file: File) -> Any:
    """Add a file of the run."""
    return crate.add_file(
        file.path,
        file.name,
        properties={
            "name": file.name,
            "contentSize": str(file.bytes),
            "sha256": file.sha256,
            "encodingFormat": mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        },
    )


def _page_properties() -> dict[str, Any]:
    return {
        "name": f"How the run went, by flower-v6 {__version__}",
        "encodingFormat": "text/html",
    }


def _times(timeline: Timeline) -> dict[str, str]:
    """Return when the first message was pulled and the last reply was stored."""
    if not timeline.clock:
        return {}
    ends = {"startTime": timeline.began, "endTime": timeline.began + timeline.seconds}
    return {
        name: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        for name, at in ends.items()
    }
