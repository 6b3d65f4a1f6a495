"""Logging in at a vantage6 server: a token, or a sentence that says what to do."""

import json
import socket
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v4.testing import Asked, Failure, FakeServer


def log_in(fake: FakeServer, code: str = "") -> UserLogin:
    return UserLogin(fake.url, "ada", fake.api.password, code)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_user_gets_a_token_that_the_server_takes(fake: FakeServer) -> None:
    assert Server4(fake.url, log_in(fake)).own_organization() == 1


def test_a_wrong_password_is_refused_and_not_repeated(fake: FakeServer) -> None:
    with pytest.raises(Vantage6Error, match="refuses the login of ada: Failed to login") as caught:
        UserLogin(fake.url, "ada", "a wrong password")
    assert "a wrong password" not in str(caught.value)


def test_a_second_factor_that_is_missing_or_wrong_is_asked_for(fake: FakeServer) -> None:
    fake.api.mfa_code = "123456"
    with pytest.raises(Vantage6Error, match="include your two-factor"):
        log_in(fake)
    with pytest.raises(Vantage6Error, match="code is incorrect"):
        log_in(fake, "654321")
    assert Server4(fake.url, log_in(fake, "123456")).own_organization() == 1


def test_an_address_where_nobody_answers_is_said_to_be_that() -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with pytest.raises(ServerUnreachable, match=f"{url}: Connection refused"):
        UserLogin(url, "ada", "secret")


def test_an_address_without_the_apis_path_is_no_vantage6_server(fake: FakeServer) -> None:
    with pytest.raises(Vantage6Error, match="not the API of a vantage6 server") as caught:
        UserLogin(fake.proxy_url, "ada", "secret")
    assert "https://host/api" in caught.value.hint


def test_a_server_that_stumbles_may_be_asked_again(fake: FakeServer) -> None:
    fake.fail_next(Failure.ERROR, "POST token/user")
    with pytest.raises(ServerUnreachable, match="cannot answer now"):
        log_in(fake)
    assert log_in(fake).token


def test_a_slash_behind_the_address_does_no_harm(fake: FakeServer) -> None:
    assert UserLogin(f"{fake.url}/", "ada", fake.api.password).token


def test_an_expired_token_is_renewed_without_the_password(fake: FakeServer) -> None:
    server = Server4(fake.url, log_in(fake))
    fake.expire_tokens("access")
    assert server.own_organization() == 1
    assert fake.requests.count("POST token/user") == 1


def test_of_several_threads_with_an_expired_token_one_renews_it(fake: FakeServer) -> None:
    """A refresh token may be good for once."""
    server = Server4(fake.url, log_in(fake))
    fake.expire_tokens("access")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(server.own_organization) for _ in range(4)]
    assert [each.result() for each in answers] == [1] * 4
    assert fake.requests.count("POST token/refresh") == 1


def test_a_new_token_can_be_renewed_in_its_turn(fake: FakeServer) -> None:
    server = Server4(fake.url, log_in(fake))
    for _ in range(3):
        fake.expire_tokens("access")
        assert server.own_organization() == 1


def test_a_login_that_cannot_be_renewed_is_over(fake: FakeServer) -> None:
    server = Server4(fake.url, log_in(fake))
    fake.expire_tokens("access", "refresh")
    with pytest.raises(Vantage6Error, match="expired"):
        server.own_organization()


def test_a_server_that_goes_away_during_renewal_has_not_refused_it(fake: FakeServer) -> None:
    server = Server4(fake.url, log_in(fake))
    fake.expire_tokens("access")
    for failure in (Failure.ERROR, Failure.LOST):
        fake.fail_next(failure, "POST token/refresh")
        with pytest.raises(ServerUnreachable):
            server.own_organization()
    assert server.own_organization() == 1


def test_a_netrc_file_does_not_replace_the_token(
    fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login another password another\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = Server4(fake.url, log_in(fake))
    fake.expire_tokens("access")
    assert server.own_organization() == 1


def test_a_containers_token_says_whose_it_is(fake: FakeServer) -> None:
    task = fake.create_task(Asked("central", "an/image", 1, 2, {}))
    claims = ContainerLogin(fake.container_token(task)).claims
    assert (claims["task_id"], claims["organization_id"]) == (task.id, 2)
    assert (claims["image"], claims["collaboration_id"]) == ("an/image", 1)


@pytest.mark.parametrize("token", ["", "one", "one.two.three", "a.e30.c", "a.W10.c"])
def test_a_token_file_without_a_token_is_said_to_be_that(token: str) -> None:
    with pytest.raises(Vantage6Error, match="no token"):
        _ = ContainerLogin(token).claims


@pytest.mark.parametrize(
    "claims", [{"sub": 5}, {"sub": {}}, {"sub": {"collaboration_id": "1"}}, [], {"sub": []}]
)
def test_a_token_of_somebody_else_is_no_token_of_a_node(claims: object) -> None:
    body = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    with pytest.raises(Vantage6Error, match="no token"):
        _ = ContainerLogin(f"head.{body}.signature").claims


def test_a_token_that_is_nested_without_end_is_none() -> None:
    body = urlsafe_b64encode(b"[" * 99_999).decode()
    with pytest.raises(Vantage6Error, match="no token"):
        _ = ContainerLogin(f"head.{body}.signature").claims
