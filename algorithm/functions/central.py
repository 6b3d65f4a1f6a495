"""Central function: runs the image's Flower app at the organizations of a collaboration.

It starts a SuperLink in its own container, makes each organization a SuperNode of it, submits the
app, and leaves the outcome (`algorithm.functions.result`). A failed run is a
failed task with an outcome.
"""

import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from algorithm.flower.environment import Flower
from algorithm.flower.manifest import ENVIRONMENT_VARIABLE, Manifest
from algorithm.flower.node_config import pairs
from algorithm.functions.arguments import Arguments
from algorithm.functions.result import write_result
from algorithm.runs.direct import DirectRun
from algorithm.runs.on_superlink import SuperLinkRun
from algorithm.runs.outcome import Outcome
from algorithm.runs.run import Run, run_app
from algorithm.runs.screen import Screen
from algorithm.runs.stations import Organizations
from proxy import strict_json
from proxy.calls import Mode
from proxy.carriers.vantage6 import MAX_STORED_BYTES
from proxy.errors import AppError, UsageError
from proxy.generations import generation_of
from proxy.platforms import Creator
from proxy.system import durable
from proxy.system.process import Workspace
from proxy.vantage6.container import Container
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.payload import Payload
from proxy.vantage6.server import Organization

log = logging.getLogger(__name__)

# The server stores a result as base64.
_MAX_RESULT_BYTES = MAX_STORED_BYTES // 4 * 3
_LINGER_SECONDS = 3.0


def main(container: Container, task: Payload) -> None:
    """Leave the outcome in the output file.

    `task.fields["kwargs"]` holds what `Arguments` says.

    Raises
    ------
    BridgeError
        If the run did not complete. The outcome is there nevertheless, once the run was begun.
    """
    # A run that ends while the server is away is started again by its node, result or not.
    job = _job(container)
    job_folder = container.job_folder(job)
    durable.make_folder(job_folder)
    left = job_folder / "central-result.json"
    if (ended := _ended(left)) is not None:
        log.info("this run ended before; its outcome is here")
        shutil.copyfile(left, container.output_file)
        if ended.status != "completed":
            raise AppError(ended.cause)
        return
    if ENVIRONMENT_VARIABLE not in os.environ:
        raise UsageError(
            "This function runs only in an image that holds an app.",
            "Build one with `flower-v6 image`.",
        )
    image = Path(os.environ[ENVIRONMENT_VARIABLE])
    manifest = Manifest.read(image)
    arguments = Arguments.checked(task.fields.get("kwargs") or {}, manifest.run_config_keys)
    flower = Flower.from_environment()
    stations = _stations(container, arguments, flower.release, job)
    outcome = Outcome(
        app=f"{manifest.publisher}/{manifest.name} {manifest.version}",
        flower_release=flower.release,
        supernodes=arguments.supernodes,
        stations=list(stations.names),
        mode=arguments.mode,
    )
    with Workspace() as workspace:
        folder, written = workspace.path / "run", workspace.path / "written"
        folder.mkdir()
        written.mkdir()
        shared = (
            _app(image.parent),
            flower,
            folder,
            Screen(sys.stdout, watched=False),
            outcome,
            stations,
        )
        run: Run
        if arguments.mode == Mode.DIRECT:
            run = DirectRun(*shared, arguments.run_config)
        else:
            config = [pairs(arguments.run_config)] if arguments.run_config else []
            run = SuperLinkRun(*shared, config)
        # Where the relative paths of a ServerApp lead.
        os.chdir(written)
        try:
            run_app(run)
        finally:
            try:
                write_result(container.output_file, outcome, written, _MAX_RESULT_BYTES)
            finally:
                if container.output_file.stat().st_size:  # else it could not be written
                    part = left.with_suffix(".part")
                    shutil.copyfile(container.output_file, part)
                    durable.publish(part, left)
                if container.platform.loses_results:
                    # A host at this node may have ended just before.
                    time.sleep(_LINGER_SECONDS)


def _ended(left: Path) -> Outcome | None:
    """Return the outcome of this run if it has ended before; a damaged one is none."""
    try:
        return Outcome.checked(strict_json.loads(left.read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning("%s is damaged, %s: the run begins anew", left, error)
        return None


def _app(folder: Path) -> Path:
    """Return the app's folder: the only one beside the manifest."""
    return next(path for path in folder.iterdir() if path.is_dir())


def _job(container: Container) -> str | None:
    """Return the name of the job whose central this is; None where it needs none."""
    creator = _creator(container)
    if not creator.names_job:
        return None
    # The same when its node starts it again.
    return f"task{ContainerLogin(container.token).claims['task_id']}"


def _creator(container: Container) -> Creator:
    creator = container.platform.central
    if creator is None or not container.token:
        raise UsageError(
            "The central function has no vantage6 token: it runs only in a vantage6 node."
        )
    return creator


def _stations(
    container: Container, arguments: Arguments, release: str, job: str | None
) -> Organizations:
    """Return the organizations that the arguments name."""
    login = ContainerLogin(container.token)
    claims = login.claims
    server = generation_of(container.platform).server(container.server, login)
    known = server.organizations(claims["collaboration_id"], claims.get("study_id"))
    members = server.members_below(claims, arguments.dataframes)
    return Organizations(
        server,
        chosen(known, arguments.organizations),
        members,
        _creator(container),
        arguments.deadline,
        release,
        arguments.mode,
        arguments.host_idle_limit,
        job,
    )


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
