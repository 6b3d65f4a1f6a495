"""The processes of a simulation: central, stations, and the functions that are started there."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType

from algorithm.functions import courier, host, per_round
from algorithm.monitoring.feed import Feed
from algorithm.runs.attach import Access, Attached
from algorithm.station.job import Job
from algorithm.station.policy import Policy
from algorithm.station.resident.station import Resident
from algorithm.station.runtime import Runtime
from algorithm.tests.simulation.app import ServerApp
from algorithm.tests.simulation.disk import ROOT
from algorithm.tests.simulation.lanes import Lane
from algorithm.tests.simulation.runtime import SimulatedRuntime
from algorithm.tests.simulation.scheduler import Process
from algorithm.tests.simulation.superlink import SimulatedSuperLink
from algorithm.tests.simulation.world import World
from proxy.calls import Call, Mode, Settings
from proxy.carriers import Carrier, Ending, Exchange, FunctionFailed
from proxy.carriers.tasks import TaskCarrier
from proxy.central.report import Observer
from proxy.errors import BridgeError, Cancelled, CarrierError
from proxy.journal.journal import Journal
from proxy.lanes.lane import End, LaneCarrier
from proxy.lanes.letters.sealing import Unsealed
from proxy.vantage6 import payload
from proxy.vantage6.container import Container

DEADLINE_SECONDS = 40.0
_IDLE_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_STARTS_SECONDS = (0.1, 2.0)
_FUNCTIONS: Mapping[str, ModuleType] = {
    "courier": courier,
    "host": host,
    "per_round": per_round,
}


class Central:
    """`flower-v6 attach`, or `flower-v6 run`, and whoever starts it again."""

    def __init__(
        self, world: World, stations: "LaneStations | TaskStations", app: ServerApp
    ) -> None:
        self.folder = Path(ROOT) / "central"
        self.keys = self.folder / "keys" if world.plan.keys else None
        self.works_in = self.folder
        self._process: Process | None = None
        self._attached: Process | None = None
        self._world, self._stations, self._app = world, stations, app
        self._runs = count(1)
        self._is_over = False
        self._stop = threading.Event()

    def main(self) -> None:
        """Be attached until stopped, or run until the run has ended."""
        self._process = self._world.scheduler.process
        self._stop = threading.Event()
        self.works_in = self.folder / f"run-{next(self._runs)}"
        try:
            self.works_in.mkdir()
            with self._journal() as journal:
                if journal is None or not self._world.plan.runs:
                    self._attach(journal, self._stop.wait)
                else:
                    while not self._is_over and not self._stop.is_set():
                        self._run(journal)
                    self._attached = self._process
                    self._stop.wait()
        except (BridgeError, OSError) as error:
            self._world.cost(f"the central cannot start: {error}")
            return
        self._world.scheduler.tell("is stopped")

    def _attach(self, journal: Journal | None, until: Callable[[], object]) -> None:
        attached = Attached(
            *(self._stations, "superlink", self.works_in, Observer(), Feed()),
            *(Access(keys=self.keys), journal),
        )
        self._world.scheduler.tell("is attached")
        self._attached = self._process
        until()
        attached.close()

    def _run(self, journal: Journal) -> None:
        """Run once, as `algorithm.runs.resuming.run_on_journal` does."""
        world, app = self._world, self._app
        fixed = journal.begin({}, {"number": world.run_number + 1})
        world.run_number = fixed["number"]
        world.superlink = SimulatedSuperLink(world)
        app.ended = False

        def ends() -> None:
            server_app, process = world.process("ServerApp", "central", mortal=False), self._process
            assert process is not None
            process.at_end.append(lambda: world.scheduler.exit(server_app))
            world.scheduler.start(server_app, app.main, "main")
            while not (app.ended or journal.difference or self._stop.wait(_LOOK_SECONDS)):
                pass
            world.scheduler.exit(server_app)

        self._attach(journal, ends)
        if journal.difference is not None:
            journal.refuse(journal.difference.message)
        elif app.ended:
            journal.end("completed")
            self._is_over = True

    @contextmanager
    def _journal(self) -> Iterator[Journal | None]:
        if self._world.plan.journal:
            with closing(Journal(self.folder / "journal")) as journal:
                yield journal
        else:
            yield None

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    @property
    def attached(self) -> bool:
        """Whether it is at work; one that was asked to end may leave things to the next."""
        return self._attached is not None and self._attached.alive and not self._stop.is_set()

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process is not None and not self._process.alive


class LaneStations:
    """Implements `algorithm.runs.stations.Stations` with resident stations."""

    deadline = DEADLINE_SECONDS
    release = ""
    node_configs = ()

    def __init__(self, world: World) -> None:
        self.names = world.plan.stations
        self.lanes = {name: Lane(world, name) for name in self.names}
        self._world = world

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier to them."""
        ends = {name: End(lane.at_central(), Unsealed()) for name, lane in self.lanes.items()}
        return LaneCarrier(ends, Mode.BRIDGE, folder)

    def main(self, name: str) -> None:
        """Be a station, as `algorithm.station.resident.service` is."""
        world = self._world
        try:
            job = Job(Path(ROOT) / name / "job")
            with job.hosting() as alone:
                if alone:
                    Resident(
                        *(name, job, self.lanes[name].at_station(), Unsealed()),
                        lambda _: lambda node_id: _runtime(world, name, node_id),
                        *(Policy(), world.plan.warm),
                    ).serve()
        except OSError as error:
            world.cost(f"the station cannot start: {error}")


class TaskStations:
    """Implements `algorithm.runs.stations.Stations` with functions that are started there."""

    deadline = DEADLINE_SECONDS
    release = ""
    node_configs = ()

    def __init__(self, world: World) -> None:
        self.names = world.plan.stations
        self._world = world
        self._jobs = count(1)

    def carrier(self, folder: Path) -> Carrier:
        """Return a carrier to them; each has a job of its own."""
        job = 1 if self._world.plan.journal else next(self._jobs)
        starter = SimulatedStarter(self._world, job)
        settings = {name: Settings("partition-id=0") for name in self.names}
        return TaskCarrier(starter, settings, _IDLE_SECONDS if self._world.plan.warm else None)


class SimulatedStarter:
    """Implements `proxy.carriers.Starter`: functions run as processes of the station.

    As in vantage6, input and result lie at a server, and functions outlive who started them.
    """

    job = None

    def __init__(self, world: World, job: int) -> None:
        self._world, self._job = world, job

    def online(self, station: str) -> bool:
        """Whether a station can be reached, as far as is known."""
        return True

    def leave(self, station: str) -> None:
        """End the hosts of centrals that were killed, too: in vantage6 they hear that it is over.

        Of a run they do not as long as a successor goes on with it.
        """
        if self._world.leaving or not self._world.plan.runs:
            for process in self._world.functions:
                if process.name == f"{station}/host" and process.alive:
                    self._world.scheduler.kill(process)

    def room_for_reply(self, station: str, exchange: Exchange) -> int | None:
        """Messages and replies may have any size."""
        return None

    def find(self, station: str, task: str) -> "SimulatedFunction | None":
        """Return the function that an earlier process started."""
        return self._world.tasks.get(task)

    def start(
        self,
        station: str,
        title: str,
        call: Call,
        bundle: Path | None,
        ends_at: float,
        cancelled: threading.Event,
    ) -> "SimulatedFunction":
        """Start a function."""
        content = b"" if bundle is None else bundle.read_bytes()
        task = str(len(self._world.tasks) + 1)
        made = SimulatedFunction(self._world, station, call, content, task, self._job)
        self._world.tasks[task] = made
        return made


class SimulatedFunction:
    """Implements `proxy.carriers.Function`."""

    def __init__(
        self, world: World, station: str, call: Call, bundle: bytes, task: str, job: int
    ) -> None:
        self.task = task
        self._world, self._station = world, station
        self._call, self._bundle = call, bundle
        self._folder, self._job = Path(ROOT) / station / f"{call.method}-{task}", job
        self._result: bytes | None = None
        self._failure: FunctionFailed | None = None
        name = f"{station}/{call.method}"
        self._process = world.process(name, station, mortal=call.method != "courier")
        world.functions.append(self._process)
        world.scheduler.start(self._process, self._main, call.method)

    def save_reply(self, path: Path, ends_at: float, cancelled: threading.Event) -> None:
        """Wait for the bundle that the function leaves."""
        while self._process.alive or self._world.is_away(self._station):
            if cancelled.wait(_LOOK_SECONDS):
                raise Cancelled("Stopped while a station had a message.")
            if self._world.now > ends_at:
                raise CarrierError("The station did not answer in time.")
        if self._failure:
            raise self._failure
        if self._result is None:
            raise CarrierError("The function crashed.")
        path.write_bytes(self._result)

    def ending(self, doubtful: bool, cancelled: threading.Event) -> Ending | None:
        """Return how the function ended."""
        if self._process.alive:
            return None
        return Ending("ended", self._failure.message if self._failure else "")

    def stop(self) -> None:
        """End the function."""
        if self._process.alive:
            self._world.scheduler.kill(self._process)

    def _main(self) -> None:
        world = self._world
        world.scheduler.sleep(world.scheduler.chance.uniform(*_STARTS_SECONDS))
        shared = Path(ROOT) / self._station / f"job-{self._job}"
        try:
            shared.mkdir(exist_ok=True)
            self._folder.mkdir()
            run = Container(self._folder / "input", self._folder / "output", shared)
            bundle = self._folder / "input.bundle"
            if self._bundle:
                bundle.write_bytes(self._bundle)
            payload.write(run.input_file, self._call.task())
            with payload.read(run.input_file) as task:
                _FUNCTIONS[self._call.method].main(run, task)
            answer = self._folder / "output.bundle"
            if answer.exists():
                self._result = answer.read_bytes()
        except (BridgeError, OSError) as error:
            kind = error.code if isinstance(error, BridgeError) else "system"
            self._failure = FunctionFailed(str(error), kind)
        world.scheduler.exit(self._process)


def runtimes_at(world: World, folder: Path) -> Callable[[int], Runtime]:
    """Return what starts a runtime for a function that has a folder."""
    return lambda node_id: _runtime(world, folder.parts[2], node_id)


def _runtime(world: World, station: str, node_id: int) -> Runtime:
    made = SimulatedRuntime(world, station, node_id, world.plan.warm)
    process = world.scheduler.process
    assert process is not None
    # The keeper ends it with its owner.
    process.at_end.append(made.stopped)
    return made
