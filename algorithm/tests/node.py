"""A vantage6 node: its containers are processes, and their Flower does as it is told."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

from algorithm.flower.environment import ENVIRONMENT_VARIABLE
from algorithm.tests.fake_flower import make_flower
from proxy.bundle import Bundle
from proxy.system.process import Process
from proxy.tests.helpers import Drained
from proxy.vantage6 import payload
from proxy.vantage6.container import Container, Database
from proxy.vantage6.v4.container import written
from proxy.vantage6.v4.testing import FakeServer, FakeTask

SECONDS = 60.0


class Node:
    """What a vantage6 node does at a station: it starts containers.

    Parameters
    ----------
    folder : Path
        An empty one.
    supernode : str
        What its Flower's SuperNodes do, if something else than usual.

    Attributes
    ----------
    job : Path
        The temporary folder of the job that the containers belong to.
    environment : dict[str, str]
        What the owner and the image set in containers.
    missing_databases : tuple[str, ...]
        Labels that tasks ask for in vain.
    started : list[Process]
        The containers.
    """

    def __init__(self, folder: Path, supernode: str = "") -> None:
        self.folder = folder
        self.job = folder / "job"
        self.missing_databases: tuple[str, ...] = ()
        self.started: list[Process] = []
        flower = folder / "flower"
        made = make_flower(flower, supernode=supernode) if supernode else make_flower(flower)
        self.environment = {"PATH": os.environ["PATH"], ENVIRONMENT_VARIABLE: str(made)}
        self._token: dict[str, str] = {}

    def give_token(self, fake: FakeServer, task: FakeTask) -> None:
        """Give containers the token of a task, so that they may ask the server."""
        file = self.folder / "token"
        file.write_text(fake.container_token(task))
        host, _, port = fake.proxy_url.rpartition(":")
        self._token = {"TOKEN_FILE": str(file), "HOST": host, "PORT": port, "API_PATH": ""}

    @property
    def _config(self) -> str:
        """What a central says of the station: in vantage6, nothing but its partition."""
        return "" if self._token else "a=1"

    def start(
        self, method: str, bundle: Path | None = None, **arguments: Any
    ) -> tuple[Process, Path]:
        """Start a container; returns it and its output file."""
        run = self.folder / f"{method}-{len(self.started)}"
        run.mkdir()
        databases = {"default": Database("/data.csv", "csv")}
        container = Container(
            run / "input", run / "output", self.job, databases, self.missing_databases
        )
        payload.write(container.input_file, {"method": method, "kwargs": arguments}, bundle)
        token = {name: encoded(value) for name, value in self._token.items()}
        process = Process(
            [sys.executable, "-E", "-P", "-m", "algorithm"],
            {**self.environment, **written(container), **token},
            run / "log",
        )
        self.started.append(process)
        return process, container.output_file

    def start_host(
        self, sent: Drained, idle_limit: float = 600.0, name: str = "a0"
    ) -> tuple[Process, Path]:
        """Start the host that a message is for."""
        return self.start(
            "host",
            node_id=sent.metadata.dst_node_id,
            node_config=self._config,
            idle_limit=idle_limit,
            host=name,
        )

    def answer(self, sent: Drained, method: str = "courier", with_fab: bool = True) -> Bundle:
        """Bring a message to the station; returns the bundle that comes back."""
        message_id = sent.metadata.message_id
        bundle = sent.write(self.folder / "instruction", with_fab)
        extra = {"timeout": SECONDS} if method == "courier" else {"node_config": self._config}
        return self.answer_of(*self.start(method, bundle, message_id=message_id, **extra))

    def answer_of(self, function: Process, output: Path) -> Bundle:
        """Wait for the end of a container; returns the bundle that it leaves."""
        assert function.wait(SECONDS)
        assert function.exit_code == 0, function.log_tail()
        with payload.read(output) as result:
            result.save_bundle(self.folder / "reply")
        return Bundle(self.folder / "reply")

    def close(self) -> None:
        """End all containers."""
        for process in self.started:
            process.stop()


def encoded(value: str) -> str:
    """Return a variable's value as a node sets it."""
    return base64.b32encode(value.encode()).decode().replace("=", "!")


def error_in(output: Path) -> str:
    """Return the error that a container left."""
    with payload.read(output) as result:
        return str(result.fields["error"])
