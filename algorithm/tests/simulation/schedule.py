"""One schedule: the world is built from a seed, runs to its end, and is looked at."""

import builtins
import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from algorithm.functions import courier, host, per_round
from algorithm.runs import attach
from algorithm.station.job import Job
from algorithm.station.resident import station as resident
from algorithm.station.runtime import Runtime
from algorithm.tests.simulation.app import ServerApp, undisturbed
from algorithm.tests.simulation.disk import ROOT, Disk
from algorithm.tests.simulation.faults import TROUBLED_SECONDS, Faults
from algorithm.tests.simulation.parts import Central, LaneStations, TaskStations, runtimes_at
from algorithm.tests.simulation.scheduler import Machine, Process, Scheduler, Stuck
from algorithm.tests.simulation.seams import replaced, simulated, wall_clock
from algorithm.tests.simulation.superlink import Network, SimulatedSuperLink
from algorithm.tests.simulation.world import COSTLY_SECONDS, MOST_SECONDS, Plan, World, raise_soon
from proxy.calls import Mode
from proxy.central import central_proxy
from proxy.fleet import inline, messages, wire
from proxy.lanes import lane
from proxy.system import durable
from proxy.transport import identity
from proxy.transport.identity import make_keys
from proxy.transport.node_key import NodeKey
from proxy.transport.superlink import SuperLink

# Once the run is over and the central gone, all that it wanted ends in this time.
_TIDY_SECONDS = 35.0
_LAST_TRIES_SECONDS = 15.0
_CANCEL_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """What became of a schedule.

    Attributes
    ----------
    seed : int
        Its seed.
    violation : str
        What never may happen, and did; empty if nothing did.
    errors, kills : int
        How many error replies the ServerApp got, and how many processes were killed.
    story : list[str]
        What happened, if that was asked for.
    """

    seed: int
    violation: str
    errors: int
    kills: int
    story: list[str]


def run(seed: int, tell: bool = False) -> Outcome:
    """Run one schedule."""
    scheduler = Scheduler(seed, MOST_SECONDS)
    if tell:
        scheduler.story = []
    plan = Plan.chosen(scheduler.chance)
    faults = Faults.chosen(scheduler.chance, plan.stations, may_forget=not plan.keys)
    disk = Disk(scheduler, wall_clock(scheduler))
    names = ("central", "superlink", *plan.stations)
    world = World(scheduler, disk, plan, faults, {name: Machine(name) for name in names})
    scheduler.tell(f"{plan}\n{faults}")
    logging.disable(logging.CRITICAL)
    app = ServerApp(world)
    with simulated(scheduler, disk), _shortened(world):
        try:
            _live(world, app)
        except Stuck as error:
            raise_soon(world, str(error))
        finally:
            scheduler.close()
            logging.disable(logging.NOTSET)
    if scheduler.failures:
        raise_soon(world, f"a thread ended: {scheduler.failures[0]}")
    story = scheduler.story or []
    return Outcome(seed, world.violation, app.errors, world.killed, story)


def _live(world: World, app: ServerApp) -> None:
    scheduler, plan, faults = world.scheduler, world.plan, world.faults
    for machine in world.machines:
        world.disk.mkdir(f"{ROOT}/{machine}")
    scheduler.on_kill = world.dies
    world.superlink = SimulatedSuperLink(world)
    stations: LaneStations | TaskStations = (
        LaneStations(world) if plan.lanes else TaskStations(world)
    )
    central = Central(world, stations, app)
    if plan.keys:
        _put_keys(world)
    if isinstance(stations, LaneStations):
        for name in plan.stations:
            world.keep_running(name, name, partial(stations.main, name))
    world.keep_running("central", "central", central.main, lambda: not world.leaving)
    world.go_wrong(central.stop)
    if not plan.runs:
        scheduler.start(Process("serverapp", world.machines["superlink"]), app.main, "main")
    ends = scheduler.now + faults.ends_at
    if faults.ends_at < TROUBLED_SECONDS:
        scheduler.start(world.fate, lambda: scheduler.sleep(faults.ends_at), "the end")
    scheduler.run(lambda: app.ended or scheduler.now >= ends or bool(world.violation))
    world.calm_down()
    if app.ended:  # what is tried again shall be
        _pass(world, _LAST_TRIES_SECONDS)
    scheduler.run(lambda: central.attached or bool(world.violation))
    if world.violation:
        return
    world.leaving = True
    central.stop()
    scheduler.run(lambda: central.gone or bool(world.violation))
    _pass(world, _CANCEL_SECONDS)
    _look_for_work(world)
    _pass(world, _TIDY_SECONDS)
    _look(world, app, central, stations)


def _pass(world: World, seconds: float) -> None:
    """Let time pass."""
    scheduler = world.scheduler
    until = scheduler.now + seconds
    scheduler.start(world.fate, lambda: scheduler.sleep(seconds), "later")
    scheduler.run(lambda: scheduler.now >= until or bool(world.violation))


def _look_for_work(world: World) -> None:
    """Look at what goes on a moment after the central was stopped."""
    truth, superlink = world.truth, world.superlink
    for message_id, process in truth.pulled_by.items():
        # To withdraw a message takes a file: without room it is trained until its deadline. So it
        # is if the lane was cut when its central was stopped: who comes next knows nothing of it.
        withdrawn = not (
            process.bound_to_die
            or (process, truth.trained.get(message_id, "")) in truth.cut_off
            or world.was_full("central")
        )
        if withdrawn and message_id in truth.training:
            raise_soon(world, f"message {message_id:.6} is trained, and nobody wants the answer")
        if superlink.knows(message_id) and not (
            # A run that is stopped leaves what comes just then: its ServerApp will send it again.
            (world.plan.runs and message_id in truth.pulled_at_the_end)
            or process.bound_to_die
            or superlink.is_complete(message_id)
            or world.true_time() > superlink.expiry_of(message_id)
            or world.may_have_cost(world.now)
        ):
            raise_soon(world, f"message {message_id:.6} has no answer, and the central is gone")


def _look(
    world: World, app: ServerApp, central: Central, stations: LaneStations | TaskStations
) -> None:
    """Look at what is there when all is over."""
    plan = world.plan
    if app.ended and app.complete and app.models != undisturbed(plan.stations, plan.rounds):
        raise_soon(world, "the result differs from that of the undisturbed run")
    # What is left of one that was killed lies in a folder of its own, or ends with its job.
    last = f"{central.works_in}/"
    # A central that was killed just then, or has no room, keeps a message until the next one.
    may_keep = world.killed or world.faults.full
    # One whose SuperLink was away for long, until it was stopped or gave up, keeps that, too.
    gave_up = any(
        end - start > COSTLY_SECONDS
        for name, start, end in world.faults.away
        if name == "superlink"
    )
    for path in world.disk.files(world.machines["central"]):
        kept = "/journal/pulled/" in path and not (may_keep or gave_up)
        if (
            (path.endswith(".message") and not gave_up)
            or kept
            or (
                path.startswith(last)
                and ("/central-" in path or path.endswith("/instruction.letter"))
            )
        ):
            raise_soon(world, f"the central leaves {path}")
    for name in plan.stations if plan.lanes else []:
        for path in world.disk.files(world.machines[name]):
            if path.endswith("/instruction.bundle") or re.search(r"/letters/\d", path):
                raise_soon(world, f"the station leaves {path}")
    if isinstance(stations, LaneStations):
        for name, lane in stations.lanes.items():
            if lane.waits_for_station:
                raise_soon(world, f"letters to {name} are left")
    for process in world.functions:
        if process.alive and not process.name.endswith("host"):
            raise_soon(world, f"{process.name} still runs")


@cache
def _real_keys() -> dict[str, tuple[bytes, ec.EllipticCurvePrivateKey]]:
    """Return real keys of SuperNodes, as files and as keys."""
    with TemporaryDirectory() as folder:
        names = ["north", "south"]
        make_keys(Path(folder), names)
        paths = [Path(folder) / name for name in names]
        return {each.name: (each.read_bytes(), identity._read_private(each)) for each in paths}


def _copy_keys(folder: Path, names: Sequence[str]) -> None:
    """Make keys in no time, in place of `proxy.transport.identity.make_keys`."""
    durable.make_folder(folder)
    for name in names:
        durable.write(folder / name, _real_keys()[name][0])


def _put_keys(world: World) -> None:
    folder = f"{ROOT}/central/keys"
    world.disk.mkdir(folder)
    for name, (content, key) in _real_keys().items():
        if name in world.plan.stations:
            with world.disk.open(f"{folder}/{name}", "wb", None, None) as file:
                file.write(content)
            world.superlink.know(NodeKey(key))
    world.disk.sync_all(world.machines["central"])


_check_announcement = lru_cache(1 << 10)(wire.check_announcement)
_without_content = lru_cache(1 << 10)(inline.without_content)


class _Key:
    """Stands for a `NodeKey` that nobody will check a signature of."""

    def __init__(self, public_bytes: bytes) -> None:
        self.public_bytes = public_bytes


@contextmanager
def _shortened(world: World) -> Iterator[None]:
    """Replace what costs time and is not looked at."""
    keys = _real_keys()

    def runtimes(mode: Mode, job: Job, *_: object, warm: bool) -> Callable[[int], Runtime]:
        return runtimes_at(world, job.folder)

    def connect(*given: Any) -> SuperLink:
        return SuperLink(Network(world), identity=given[3])

    replacements: list[tuple[Any, str, Any]] = [
        (central_proxy, "_POLL_SECONDS", (2.0, 5.0)),
        (lane, "_LOOK_SECONDS", 3.0),
        (resident, "_LOOK_SECONDS", 5.0),
        (courier, "_POLL_SECONDS", 1.5),
        (host, "_POLL_SECONDS", 1.5),
        (host, "_SPARE_LOOK_SECONDS", 2.0),
        (builtins, "print", lambda *_, **__: None),
        # The same messages are read again and again.
        (messages, "check_announcement", _check_announcement),
        (messages, "without_content", _without_content),
        (identity, "_read_private", lambda path: keys[path.name][1]),
        (attach, "connect", connect),
        (attach, "make_keys", _copy_keys),
        (host, "runtimes", runtimes),
        (per_round, "runtimes", runtimes),
        (NodeKey, "new", lambda: _Key(random.randbytes(16))),  # noqa: S311
        (identity, "_write", lambda path, _: durable.write(path, keys[path.name][0])),
    ]
    with replaced(replacements):
        yield
