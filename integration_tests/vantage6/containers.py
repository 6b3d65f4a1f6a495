"""The Docker side: what nodes leave behind has names that begin with the name of their session."""

import itertools
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from integration_tests.harness import started

BASE_IMAGE = "python:3.11-slim-bookworm"
# A node tries to pull an image before it takes the local one; here that fails at once.
_REGISTRY = "flower-v6.invalid"
# Process id and start time: together they mean no other process until the machine restarts.
# By which the start of the same process may be seen at another time.
_CLOCK_SECONDS = 10
_SESSION = re.compile(r"flower-v6-test-(\d+)-(\d+)-\d+")
_numbers = itertools.count(1)


class DockerError(Exception):
    """A docker command failed."""


@dataclass(frozen=True)
class Container:
    """A container of an algorithm."""

    name: str
    run: int
    running: bool

    def kill(self) -> None:
        """End it by SIGKILL, as the kernel does when memory is short."""
        docker("kill", "--signal", "KILL", self.name)

    def processes(self) -> set[int]:
        """Return the ids, on this machine, of the processes in it."""
        _, *pids = docker("top", self.name, "-eo", "pid").split()
        return set(map(int, pids))


def unusable() -> str:
    """Return why containers cannot be started on this machine; empty if they can."""
    try:
        docker("version")
    except (OSError, DockerError) as error:
        return str(error)
    return ""


def docker(*arguments: str) -> str:
    """Run a docker command; returns what it printed."""
    done = subprocess.run(
        ["docker", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DockerError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def new_session() -> str:
    """Return a name for all that one stack makes."""
    return f"flower-v6-test-{os.getpid()}-{started(os.getpid())}-{next(_numbers)}"


def image_name(session: str, name: str) -> str:
    """Return how a session calls an image that it builds."""
    return f"{_REGISTRY}/{name}:{session}"


def build_base_image() -> None:
    """See to it that there is the image that all others are built from."""
    subprocess.run([Path(__file__).with_name("base_image.sh")], check=True)


def build(folder: Path, image: str) -> None:
    """Build an image."""
    docker("build", "--quiet", "--tag", image, str(folder))


def internal_network(name: str) -> str:
    """Make a network without a way out, if there is none of that name; returns its gateway."""
    if name not in docker("network", "ls", "--format", "{{.Name}}").splitlines():
        docker("network", "create", "--internal", name)
    return docker(
        "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", name
    ).strip()


def volume(name: str, size: str) -> None:
    """Make a volume that has room for so much only; what is in it lasts as long as it is used."""
    options = ("type=tmpfs", "device=tmpfs", f"o=size={size}")
    docker("volume", "create", *(part for each in options for part in ("--opt", each)), name)


def networks_of(container: Container) -> dict[str, bool]:
    """Return the networks that a container is in, and for each whether it is internal."""
    names = docker(
        *("inspect", "--format", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}"),
        container.name,
    ).split()
    return {
        name: docker("network", "inspect", "--format", "{{.Internal}}", name).strip() == "true"
        for name in names
    }


def of_node(node: str) -> list[Container]:
    """Return the algorithm containers of a node, ended ones too."""
    form = '{{.Names}}\t{{.Label "run_id"}}\t{{.State}}'
    lines = docker(
        *("ps", "--all", "--filter", f"label=node={node}"),
        *("--filter", "label=vantage6-type=algorithm", "--format", form),
    ).splitlines()
    rows = (line.split("\t") for line in lines)
    return [Container(name, int(run), state == "running") for name, run, state in rows]


def left_of(name: str) -> dict[str, list[str]]:
    """Return the containers, networks, volumes and images that a session or node made."""
    # One session's name may be the beginning of another's, hence what follows: a hyphen, the
    # underscore of docker-compose, or nothing.
    mine = re.compile(re.escape(name) + r"([-_]|$)")
    found = {
        "container": docker("ps", "--all", "--format", "{{.Names}}"),
        "network": docker("network", "ls", "--format", "{{.Name}}"),
        "volume": docker("volume", "ls", "--quiet"),
        "image": docker("images", "--format", "{{.Repository}}:{{.Tag}}"),
    }
    left = {
        kind: [each for each in names.split() if mine.search(each)] for kind, names in found.items()
    }
    return {kind: names for kind, names in left.items() if names}


def remove(name: str) -> None:
    """Remove all that `left_of` finds."""
    left = left_of(name)
    for kind, command in (
        ("container", ("rm", "--force", "--volumes")),
        ("network", ("network", "rm")),
        ("volume", ("volume", "rm", "--force")),
        ("image", ("rmi", "--force")),
    ):
        if kind in left:
            docker(*command, *left[kind])


def remove_dead_sessions() -> None:
    """Remove what sessions left that could not do it themselves."""
    names = "\n".join(each for kind in left_of("flower-v6-test").values() for each in kind)
    for session in {match[0]: match for match in _SESSION.finditer(names)}.values():
        pid, start = map(int, session.groups())
        if abs(started(pid) - start) > _CLOCK_SECONDS:
            remove(session[0])
