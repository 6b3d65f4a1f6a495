"""Logging in at Keycloak: a token that HQ takes, or a sentence that says what to do."""

import os
import webbrowser
from collections.abc import Iterator

import pytest

from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.vantage6.v5.login import DeviceLogin, Realm, ServiceLogin
from proxy.vantage6.v5.server import Server5
from proxy.vantage6.v5.testing import FakeHq
from proxy.vantage6.v5.testing.keycloak import SECRET, FakeKeycloak


@pytest.fixture
def hq() -> Iterator[FakeHq]:
    with FakeHq() as hq:
        yield hq


@pytest.fixture
def keycloak(hq: FakeHq) -> Iterator[FakeKeycloak]:
    with FakeKeycloak(hq.api.tokens) as keycloak:
        yield keycloak


class Person:
    """Somebody at a terminal, for whom time passes at once."""

    def __init__(self, keycloak: FakeKeycloak) -> None:
        self.keycloak = keycloak
        self.told: list[str] = []
        self.waited: list[float] = []

    def logs_in(self) -> DeviceLogin:
        return DeviceLogin(
            Realm(self.keycloak.url), tell=self.told.append, sleep=self.waited.append
        )


@pytest.fixture
def person(keycloak: FakeKeycloak, monkeypatch: pytest.MonkeyPatch) -> Person:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return Person(keycloak)


def test_a_user_is_shown_the_page_and_the_code_and_is_waited_for(
    person: Person, hq: FakeHq
) -> None:
    person.keycloak.device = ["authorization_pending", "slow_down", "authorization_pending"]
    login = person.logs_in()
    [line] = person.told
    assert "/device?user_code=ABCD-EFGH" in line
    assert "code ABCD-EFGH" in line
    assert person.waited == [5.0, 5.0, 10.0, 10.0]
    assert Server5(hq.url, login).own_organization() == 1


def test_the_page_is_opened_where_there_is_a_browser_with_a_window(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    person.logs_in()
    assert not opened
    monkeypatch.setitem(os.environ, "DISPLAY", ":0")
    person.logs_in()
    assert opened == [f"{person.keycloak.url}/device?user_code=ABCD-EFGH"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [("access_denied", "refuses the login: access_denied"), ("expired_token", "in time")],
)
def test_a_login_that_is_denied_or_comes_too_late_is_said(
    person: Person, said: str, reason: str
) -> None:
    person.keycloak.device = ["authorization_pending", said]
    with pytest.raises(Vantage6Error, match=reason):
        person.logs_in()


def test_nobody_is_waited_for_longer_than_the_code_lasts(person: Person) -> None:
    person.keycloak.device = ["authorization_pending"] * 1000
    with pytest.raises(Vantage6Error, match="Nobody logged in"):
        person.logs_in()
    assert sum(person.waited) == 600.0


def test_a_keycloak_that_is_away_while_the_user_logs_in_is_asked_again_later(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant, trouble = person.keycloak._token, [(502, {"error": "bad gateway"})]
    monkeypatch.setattr(
        person.keycloak, "_token", lambda form: trouble.pop() if trouble else grant(form)
    )
    assert person.logs_in().token.startswith("access")
    assert person.waited == [5.0, 10.0]


def test_an_expired_token_is_refreshed(person: Person, hq: FakeHq) -> None:
    server = Server5(hq.url, person.logs_in())
    hq.expire_tokens("access")
    assert server.own_organization() == 1
    assert person.keycloak.forms[-1]["refresh_token"] == "for later"  # noqa: S105


def test_a_login_that_is_over_is_an_error(person: Person, hq: FakeHq) -> None:
    server = Server5(hq.url, person.logs_in())
    hq.expire_tokens("access")
    person.keycloak.refreshes = False
    with pytest.raises(Vantage6Error, match="Token has expired"):
        server.own_organization()


def test_a_service_account_needs_nobody_and_logs_in_again_by_itself(
    keycloak: FakeKeycloak, hq: FakeHq
) -> None:
    server = Server5(hq.url, ServiceLogin(Realm(keycloak.url), "robot", SECRET))
    hq.expire_tokens("access")
    assert server.own_organization() == 1


def test_a_wrong_secret_is_refused_and_not_repeated(keycloak: FakeKeycloak) -> None:
    with pytest.raises(Vantage6Error, match="refuses the service account robot") as caught:
        ServiceLogin(Realm(keycloak.url), "robot", "a wrong secret")
    assert "Invalid client" in caught.value.message
    assert "a wrong secret" not in str(caught.value)
    assert "give no password" in caught.value.hint


def test_a_realm_that_does_not_exist_is_named(keycloak: FakeKeycloak) -> None:
    with pytest.raises(Vantage6Error, match="has no realm 'other'") as caught:
        DeviceLogin(Realm(keycloak.url, "other"))
    assert "--auth-realm" in caught.value.hint


@pytest.mark.parametrize("token", ["", "a\nb", "\u00e9", 1, None, ["a"]])
def test_what_no_header_can_hold_is_no_token(
    keycloak: FakeKeycloak, person: Person, monkeypatch: pytest.MonkeyPatch, token: object
) -> None:
    monkeypatch.setattr(keycloak, "_token", lambda _: (200, {"access_token": token}))
    with pytest.raises(Vantage6Error, match="it gives no token"):
        ServiceLogin(Realm(keycloak.url), "robot", SECRET)
    with pytest.raises(Vantage6Error, match="it gives no token"):
        person.logs_in()


def test_no_secret_leaves_https_where_the_realm_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    forms: list[object] = []

    def ask(_: Realm, method: str, url: str, **more: object) -> tuple[int, dict[str, str]]:
        forms.append(more.get("data"))
        return 200, {"token_endpoint": url.replace("https:", "http:")}

    monkeypatch.setattr(Realm, "_ask", ask)
    with pytest.raises(Vantage6Error, match="names a token_endpoint without https") as caught:
        ServiceLogin(Realm("https://login.example"), "robot", SECRET)
    assert "KC_PROXY_HEADERS" in caught.value.hint
    assert forms == [None]


def test_what_keycloak_says_cannot_command_the_terminal(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = {"device_code": "1", "verification_uri": "https://x/\x1b]0;title\x07\nforged"}
    answer = person.keycloak.answer
    monkeypatch.setattr(
        person.keycloak,
        "answer",
        lambda path, form: (200, device) if path.endswith("/device") else answer(path, form),
    )
    person.logs_in()
    [line] = person.told
    assert line.isprintable()


def test_a_keycloak_that_does_not_answer_is_named(hq: FakeHq) -> None:
    with FakeKeycloak(hq.api.tokens) as gone:
        url = gone.url
    with pytest.raises(ServerUnreachable, match=f"No Keycloak answers at {url}") as caught:
        ServiceLogin(Realm(url), "robot", SECRET)
    assert "--auth-server" in caught.value.hint


def test_what_is_no_keycloak_is_said(hq: FakeHq) -> None:
    with pytest.raises(Vantage6Error, match="offers no token_endpoint: status 401") as caught:
        DeviceLogin(Realm(hq.url))
    assert "whether that is the Keycloak" in caught.value.hint
