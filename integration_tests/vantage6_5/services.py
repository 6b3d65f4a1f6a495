"""Programs of vantage6 5, and PostgreSQL, in containers that tests start, stop and kill."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from integration_tests.harness import wait_until
from integration_tests.vantage6.containers import DockerError, docker

_SCRIPT = Path(__file__).with_name("image.sh")
BIN = "/opt/vantage6/bin"
# What Kubernetes gives a pod before it kills it.
_GRACE_SECONDS = 30
_SHOWN_LINES = 40


class Service:
    """A program in a container that shares this machine's network.

    Parameters
    ----------
    name : str
        Of its container; it begins with the name of the session.
    command : Sequence[str]
        What it runs.
    mounts : Mapping[Path, str]
        Where it finds files and folders of this machine.
    environment : Mapping[str, str]
        Its variables.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        mounts: Mapping[Path, str],
        environment: Mapping[str, str],
    ) -> None:
        self._name = name
        self._command = command
        self._mounts = mounts
        self._environment = environment

    @property
    def running(self) -> bool:
        """Whether it runs."""
        try:
            state = docker("inspect", "--format", "{{.State.Running}}", self._name)
        except DockerError:
            return False
        return state.strip() == "true"

    def start(self) -> None:
        """Start it, and do not wait."""
        options = ["--name", self._name, "--network", "host", "--init"]
        for path, place in self._mounts.items():
            options += ["--volume", f"{path}:{place}"]
        for name, value in self._environment.items():
            options += ["--env", f"{name}={value}"]
        docker("run", "--detach", *options, image(), *self._command)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that it does; if it fails, its log is shown."""
        try:
            wait_until(lambda: condition() or not self.running, what)
            assert self.running, f"it ended before {what}"
        except AssertionError as error:
            error.add_note("\n".join(self.log().splitlines()[-_SHOWN_LINES:]))
            raise

    def log(self) -> str:
        """What it has written since it was started; nothing before that."""
        written = subprocess.run(
            ["docker", "logs", self._name],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return "" if written.returncode else written.stdout

    def stop(self) -> None:
        """End it by SIGTERM, if it runs."""
        self._end("stop", "--time", str(_GRACE_SECONDS))

    def kill(self) -> None:
        """End it by SIGKILL, if it runs."""
        self._end("kill")

    def run(self, *command: str) -> str:
        """Run a command in its container; returns what it printed."""
        return docker("exec", self._name, *command)

    def copy(self, file: Path, place: str) -> None:
        """Copy a file into its container."""
        docker("cp", str(file), f"{self._name}:{place}")

    def _end(self, *command: str) -> None:
        if self.running:
            docker(*command, self._name)
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", self._name],  # noqa: S607
            capture_output=True,
            check=False,
        )


@cache
def image() -> str:
    """Return the name of the image of vantage6 5; it is made if there is none yet."""
    made = subprocess.run([_SCRIPT], stdout=subprocess.PIPE, text=True, check=True)
    return made.stdout.strip()
