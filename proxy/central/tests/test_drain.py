"""The instruction bundle of a message whose earlier central was killed, on a full disk."""

import threading
from pathlib import Path

import pytest

from proxy.central.drain import Drain
from proxy.central.stations import Station, Terms
from proxy.central.tests.bridges import MODEL
from proxy.errors import BundleUnwritten
from proxy.testing import FakeSuperLink, MemoryCarrier
from proxy.transport.superlink import SuperLink


@pytest.fixture
def drain(tmp_path: Path) -> Drain:
    """A successor's, which has no room for a bundle; there is that of before, without the app."""
    superlink = FakeSuperLink()
    link = SuperLink(superlink)
    link.register()
    superlink.push_instruction(MODEL, link.node_id)
    instruction = link.pull_messages()
    assert instruction is not None
    station = Station("north", link, MemoryCarrier(lambda content: content), tmp_path)
    terms = Terms(60.0, threading.Event())
    before, after = (Drain(station, terms, instruction, 60.0) for _ in range(2))
    before.fetch_app()
    before.fetch_message("", with_app=False)
    before.path.with_name(f"{before.path.name}.part").symlink_to("/dev/full")
    after.fetch_app()
    return after


def test_the_bundle_of_before_is_used_as_it_is(drain: Drain) -> None:
    content = drain.path.read_bytes()
    drain.fetch_message("", with_app=True, before=drain.path)
    assert drain.path.read_bytes() == content
    assert drain.app_size == 0


def test_a_bundle_of_before_to_which_the_app_cannot_be_added_stays_whole(drain: Drain) -> None:
    content = drain.path.read_bytes()
    drain.fetch_message("", with_app=False, before=drain.path)
    with pytest.raises(BundleUnwritten):
        drain.add_app()
    assert drain.path.read_bytes() == content
