"""A resident station as a service: what it needs is checked, then it answers until it is ended."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from algorithm.flower.environment import ENVIRONMENT_VARIABLE, Flower
from algorithm.station.job import Job
from algorithm.station.resident.settings import Settings
from algorithm.station.resident.station import Resident, Start
from algorithm.station.runtimes import runtimes
from proxy.calls import Mode
from proxy.errors import BridgeError, UsageError, reason_of
from proxy.lanes.letters.keys import KeyPair, Pairing, PublicKeys
from proxy.lanes.letters.sealing import seal_with
from proxy.lanes.mailboxes.mailbox import Mailbox
from proxy.lanes.urls import open_mailbox

log = logging.getLogger(__name__)

_LONG_LOG_BYTES = 10 << 20


def serve(settings: Settings) -> None:
    """Be the station, until an exception ends it.

    Raises
    ------
    UsageError
        If a key, the folder or the lane cannot be used, or another process is this station.
    FlowerError
        If there is no Flower to use.
    """
    keys = _keys(settings)
    seal, mailbox = seal_with(keys), _mailbox(settings, keys)
    if settings.flower_env is not None:
        os.environ[ENVIRONMENT_VARIABLE] = str(settings.flower_env)
    release = Flower.from_environment().release
    with closing(mailbox), ExitStack() as stack:
        job = stack.enter_context(_job(settings))
        _tidy(job)

        def starts(mode: Mode) -> Start:
            return runtimes(mode, job, settings.node_config, job.folder, settings.warm)

        log.info("station %s is on lane %s, with flwr %s", settings.name, settings.lane, release)
        Resident(
            *(settings.name, job, mailbox, seal, starts, settings.policy, settings.warm)
        ).serve()


def _tidy(job: Job) -> None:
    """Remove what a predecessor had of Flower, and keep of its long logs one each."""
    shutil.rmtree(job.folder / "flwr", ignore_errors=True)
    for log_file in (job.supernode_log, job.clientapp_log):
        if log_file.exists() and log_file.stat().st_size > _LONG_LOG_BYTES:
            log_file.replace(log_file.with_suffix(".log.1"))


def problems(settings: Settings) -> list[str]:
    """Return what is wrong with a station; nothing if it can serve."""
    faults: list[str] = []
    for check in (_check_flower, _check_folder, _check_databases, _check_keys, _check_lane):
        try:
            check(settings)
        except (BridgeError, OSError) as error:
            faults.append(str(error) if isinstance(error, BridgeError) else f"{error}.")
    return faults


def _check_flower(settings: Settings) -> None:
    if settings.flower_env is not None:
        Flower(settings.flower_env)
    else:
        Flower.from_environment()


def _check_folder(settings: Settings) -> None:
    with _job(settings):
        pass


def _check_databases(settings: Settings) -> None:
    for label, database in settings.databases.items():
        if "://" not in database.uri and not Path(database.uri).exists():
            raise UsageError(f"The database {label} is not there: {database.uri}.")


def _check_keys(settings: Settings) -> None:
    seal_with(_keys(settings))


def _check_lane(settings: Settings) -> None:
    keys = None
    with suppress(UsageError):  # that is said already
        keys = _keys(settings)
    with closing(_mailbox(settings, keys)) as mailbox:
        mailbox.check()


@contextmanager
def _job(settings: Settings) -> Iterator[Job]:
    """Yield the station's folder, which nobody else uses meanwhile."""
    folder = settings.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        job = Job(folder)
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be used: {reason_of(error)}.") from error
    with job.hosting() as alone:
        if not alone:
            raise UsageError(
                f"The folder {folder} is in use by another `flower-v6 station`.",
                "Stop the other one, or give this one another folder.",
            )
        yield job


def _mailbox(settings: Settings, keys: Pairing | None) -> Mailbox:
    return open_mailbox(settings.lane, settings.name, at_station=True, keys=keys)


def _keys(settings: Settings) -> Pairing | None:
    if settings.key is None or settings.central is None:
        return None
    own, central = KeyPair.read(settings.key), PublicKeys.read(settings.central)
    if own.public.raw == central.raw:
        raise UsageError(
            f"{settings.central} is this station's own public key, not the central's.",
            "Give as central the public key that the central's owner has made.",
        )
    return Pairing(own, central)
