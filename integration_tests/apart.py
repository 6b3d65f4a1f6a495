"""Central and stations that reach nothing but one machine between them, as network namespaces."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from integration_tests.lanes import needed

_IP = "/usr/sbin/ip"
CENTRAL, STATION = "central", "station"


@dataclass(frozen=True)
class Apart:
    """A hub, and two ends that are joined to it alone.

    Attributes
    ----------
    address : str
        The hub's.
    """

    name: str
    address: str

    def inside(self, place: str) -> tuple[str, ...]:
        """Return what a command begins with that runs in a place: the hub, or an end."""
        return (_IP, "netns", "exec", f"{self.name}-{place}")

    def cut(self, end: str) -> None:
        """Let nothing pass any more to and from an end."""
        _ip("-n", f"{self.name}-hub", "link", "set", end, "down")

    def join(self, end: str) -> None:
        """Let everything pass again."""
        _ip("-n", f"{self.name}-hub", "link", "set", end, "up")
        number = 1 + (CENTRAL, STATION).index(end)
        subprocess.run(  # the route back went with the link
            [_IP, "-n", f"{self.name}-hub", "addr", "replace", f"10.77.{number}.1/24", "dev", end],
            check=True,
        )


@contextmanager
def apart() -> Iterator[Apart]:
    """Namespaces until the end."""
    needed(_IP, "Debian's iproute2")
    if os.geteuid() != 0:
        pytest.skip("network namespaces are made by root only")
    made = Apart(f"v6-{uuid.uuid4().hex[:6]}", "10.77.0.1")
    places = ["hub", CENTRAL, STATION]
    try:
        for place in places:
            _ip("netns", "add", f"{made.name}-{place}")
            _ip("-n", f"{made.name}-{place}", "link", "set", "lo", "up")
        _ip("-n", f"{made.name}-hub", "addr", "add", f"{made.address}/32", "dev", "lo")
        for number, end in enumerate((CENTRAL, STATION), start=1):
            there = ("-n", f"{made.name}-{end}")
            peer = ("type", "veth", "peer", "name", end, "netns", f"{made.name}-hub")
            _ip("link", "add", "hub", "netns", f"{made.name}-{end}", *peer)
            _ip(*there, "addr", "add", f"10.77.{number}.2/24", "dev", "hub")
            _ip(*there, "link", "set", "hub", "up")
            made.join(end)
            gateway = ("via", f"10.77.{number}.1")
            _ip(*there, "route", "add", f"{made.address}/32", *gateway)
        yield made
    finally:
        for place in places:
            subprocess.run(
                [_IP, "netns", "del", f"{made.name}-{place}"], check=False, capture_output=True
            )


def _ip(*arguments: str) -> None:
    subprocess.run([_IP, *arguments], check=True)
