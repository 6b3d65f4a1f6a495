"""The instruction bundle of a message whose earlier central was killed."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.bundle import Bundle
from proxy.central.drain import Drain
from proxy.central.stations import Station, Terms
from proxy.central.tests.bridges import MODEL
from proxy.errors import BundleUnwritten
from proxy.journal.journal import Journal
from proxy.system import durable
from proxy.system.tests.power_cuts import watched
from proxy.testing import FakeSuperLink, MemoryCarrier
from proxy.transport.superlink import SuperLink


@pytest.fixture
def drain(tmp_path: Path) -> Iterator[Drain]:
    """A successor's; there is the bundle of before, without the app."""
    superlink = FakeSuperLink()
    link = SuperLink(superlink)
    link.register()
    superlink.push_instruction(MODEL, link.node_id)
    instruction = link.pull_messages()
    assert instruction is not None
    with closing(Journal(tmp_path)) as journal:
        folder = journal.folder_of("north")
        station = Station("north", link, MemoryCarrier(lambda content: content), folder)
        terms = Terms(60.0, threading.Event(), memory=journal)
        before, after = (Drain(station, terms, instruction, 60.0) for _ in range(2))
        before.fetch_app()
        before.fetch_message("", with_app=False)
        after.fetch_app()
        yield after


@pytest.fixture
def full(drain: Drain) -> Drain:
    """One that has no room for another bundle."""
    drain.path.with_name("instruction.new.part").symlink_to("/dev/full")
    return drain


def test_the_bundle_of_before_is_used_as_it_is(full: Drain) -> None:
    content = full.path.read_bytes()
    full.fetch_message("", with_app=True, before=full.path)
    assert full.path.read_bytes() == content
    assert full.app_size == 0


def test_a_bundle_of_before_to_which_the_app_cannot_be_added_stays_whole(full: Drain) -> None:
    content = full.path.read_bytes()
    full.fetch_message("", with_app=False, before=full.path)
    with pytest.raises(BundleUnwritten):
        full.add_app()
    assert full.path.read_bytes() == content


def test_whenever_the_power_is_cut_a_bundle_is_left_of_a_message_that_the_superlink_forgot(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = watched(drain.path, monkeypatch)
    durable.sync(drain.path)
    durable.sync(drain.path.parent)
    disk.left.clear()
    bundles = [drain.path.read_bytes()]
    drain.fetch_message("another cache", with_app=False, before=drain.path)
    bundles.append(drain.path.read_bytes())
    drain.add_app()
    bundles.append(drain.path.read_bytes())
    assert set(disk.left) == set(bundles)
    assert disk.surely() == bundles[-1]
    with Bundle(drain.path) as bundle:
        assert drain._fab.object_id in bundle.object_ids
