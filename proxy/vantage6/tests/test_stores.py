"""Algorithm stores: which has an image, and who is asked with what."""

from collections.abc import Iterator

import pytest

from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.vantage6.stores import Store, has_image, stores_of
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import Failure, FakeServer

IMAGE = "registry.example/me/app:1.0"


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        fake.api.approved.add(IMAGE)
        yield fake


@pytest.fixture
def server(fake: FakeServer) -> Server4:
    return Server4(fake.url, UserLogin(fake.url, "ada", fake.api.password))


def test_a_collaboration_without_a_store_has_none(fake: FakeServer, server: Server4) -> None:
    fake.api.approved.clear()
    assert stores_of(server, 1) == []


@pytest.mark.parametrize("public", [True, False])
def test_a_store_says_whether_it_has_an_image(
    fake: FakeServer, server: Server4, public: bool
) -> None:
    fake.api.store_is_public = public
    [store] = stores_of(server, 1)
    assert has_image(store, server, IMAGE)
    assert not has_image(store, server, "another/image")


def test_a_store_that_answers_anybody_does_not_get_the_token(
    fake: FakeServer, server: Server4
) -> None:
    fake.api.store_is_public = True
    [store] = stores_of(server, 1)
    fake.requests.clear()
    has_image(store, server, IMAGE)
    assert fake.requests == ["GET store/algorithm"]


def test_a_store_that_is_away_is_unreachable(server: Server4) -> None:
    with pytest.raises(ServerUnreachable, match="The algorithm store Nowhere at"):
        has_image(Store(1, "Nowhere", "http://127.0.0.1:9"), server, IMAGE)


def test_what_a_store_refuses_is_told_in_its_words(fake: FakeServer, server: Server4) -> None:
    [store] = stores_of(server, 1)
    fake.fail_next(Failure.ERROR, "GET store/algorithm", times=2)
    with pytest.raises(Vantage6Error, match="store Store refuses: Request failed"):
        has_image(store, server, IMAGE)


def test_what_is_no_store_is_said_to_be_none(fake: FakeServer, server: Server4) -> None:
    with pytest.raises(Vantage6Error, match="is no algorithm store"):
        has_image(Store(1, "Wrong", fake.proxy_url), server, IMAGE)
