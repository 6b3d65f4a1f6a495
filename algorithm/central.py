"""Central function: runs the image's Flower app at the organizations of a collaboration.

It starts a SuperLink in its own container, makes each organization a SuperNode of it, submits the
app, and leaves the outcome (`algorithm.result`). A failed run is a failed task with an outcome.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from algorithm.arguments import Arguments
from algorithm.attach import Attached, Attachment
from algorithm.direct.run import directly
from algorithm.flower import Flower
from algorithm.manifest import ENVIRONMENT_VARIABLE, Manifest
from algorithm.modes import DIRECT
from algorithm.node_config import pairs
from algorithm.on_superlink import on_superlink
from algorithm.result import write_result
from algorithm.run import Outcome, run_app
from algorithm.screen import Screen
from proxy.carriers import Carrier
from proxy.carriers.container import Container
from proxy.carriers.payload import Payload
from proxy.carriers.vantage6 import MAX_STORED_BYTES, Tasks, Vantage6Carrier
from proxy.errors import AppError, UsageError
from proxy.process import Workspace
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.server import Organization, Server

log = logging.getLogger(__name__)

# The server stores a result as base64.
_MAX_RESULT_BYTES = MAX_STORED_BYTES // 4 * 3


def main(container: Container, task: Payload) -> None:
    """Leave the outcome in the output file.

    `task.fields["kwargs"]` holds what `Arguments` says.

    Raises
    ------
    BridgeError
        If the run did not complete. The outcome is there nevertheless, once the run was begun.
    """
    # A run that ends while the server is away is started again by its node, result or not.
    left = container.temporary_folder / "central-result.json"
    if left.exists():
        log.info("this run ended before; its outcome is returned again")
        shutil.copyfile(left, container.output_file)
        ended = json.loads(left.read_text())
        if ended["status"] != "completed":
            raise AppError(ended["cause"])
        return
    image = Path(os.environ[ENVIRONMENT_VARIABLE])
    manifest = Manifest.read(image)
    arguments = Arguments.checked(task.fields.get("kwargs") or {}, manifest.run_config_keys)
    stations, carrier = _vantage6(container, arguments)
    flower = Flower.from_environment()
    outcome = Outcome(
        app=f"{manifest.publisher}/{manifest.name} {manifest.version}",
        flower_release=flower.release,
        supernodes=arguments.supernodes,
        stations=[each.name for each in stations],
        mode=arguments.mode,
    )
    what = Attachment(carrier, arguments.deadline, flower.release)
    if arguments.mode == DIRECT:
        way = directly(arguments.run_config, flower, what)
    else:
        config = [pairs(arguments.run_config)] if arguments.run_config else []
        way = on_superlink(config, flower, partial(Attached, what))
    with Workspace() as workspace:
        run, written = workspace.path / "run", workspace.path / "written"
        run.mkdir()
        written.mkdir()
        # Where the relative paths of a ServerApp lead.
        os.chdir(written)
        try:
            run_app(_app(image.parent), way, run, Screen(sys.stdout), outcome)
        finally:
            try:
                write_result(container.output_file, outcome, written, _MAX_RESULT_BYTES)
            finally:
                shutil.copyfile(container.output_file, left)


def _app(folder: Path) -> Path:
    """Return the app's folder: the only one beside the manifest."""
    return next(path for path in folder.iterdir() if path.is_dir())


def _vantage6(
    container: Container, arguments: Arguments
) -> tuple[Sequence[Organization], Callable[[Path], Carrier]]:
    """Return the stations, and what makes the carrier that reaches them."""
    if container.token_file is None:
        raise UsageError(
            "The central function has no vantage6 token: it runs only in a vantage6 node."
        )
    login = ContainerLogin(container.token_file.read_text().strip())
    claims, server = login.claims, Server(container.server, login)
    known = server.organizations(claims["collaboration_id"], claims.get("study_id"))
    stations = chosen(known, arguments.organizations)
    shared = ("image", "collaboration_id", "databases", "study_id", "store_id")
    tasks = Tasks(
        {name: claims[name] for name in shared if claims.get(name)},
        idle_limit=arguments.host_idle_limit,
        mode=arguments.mode,
    )
    return stations, lambda folder: Vantage6Carrier(server, stations, tasks, folder)


def chosen(known: Sequence[Organization], wanted: Sequence[int | str]) -> Sequence[Organization]:
    """Return the organizations that are wanted by id or name, in the order of their ids.

    Raises
    ------
    UsageError
        If one is not among the known.
    """
    for each in wanted:
        if not any(each in (one.id, one.name) for one in known):
            raise UsageError(
                f"There is no organization {each!r} in the collaboration.",
                f"There are: {', '.join(f'{one.name} ({one.id})' for one in known)}.",
            )
    return [one for one in known if not wanted or one.id in wanted or one.name in wanted]
