"""Who the user is: by flags, the environment, the configuration file; no password in a flag."""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from algorithm.cli.shared.researcher import add_login
from algorithm.researcher import login
from algorithm.researcher.login import Settings
from proxy.errors import ServerUnreachable, UsageError, Vantage6Error
from proxy.vantage6.v4.testing import FakeServer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of whom nothing is known."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return tmp_path


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake


def gathered(*flags: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_login(parser)
    return Settings.gathered(vars(parser.parse_args(flags)))


def configure(home: Path, text: str) -> Path:
    path = home / ".config" / "flower-v6" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_flags_come_before_the_environment_and_that_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, 'server = "file"\nusername = "file"\ncollaboration = "file"\n')
    assert gathered() == Settings("file", "file", collaboration="file")
    monkeypatch.setenv("FLOWER_V6_SERVER", "environment")
    monkeypatch.setenv("FLOWER_V6_USERNAME", "environment")
    assert gathered("--server", "flag") == Settings("flag", "environment", collaboration="file")


def test_another_file_may_be_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, 'server = "usual"\n')
    (home / "other.toml").write_text('server = "other"\n')
    monkeypatch.setenv("FLOWER_V6_CONFIG", str(home / "other.toml"))
    assert gathered().server == "other"


def test_paths_in_the_file_start_from_there(home: Path) -> None:
    path = configure(home, 'organization_key = "key.pem"\npassword_file = "~/password"\n')
    assert gathered().organization_key == str(path.parent / "key.pem")
    assert gathered().password_file == str(home / "password")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('password = "secret"', "'password'"),
        ("server = 7", "'server'"),
        ("server", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(home: Path, text: str, said: str) -> None:
    path = configure(home, text)
    with pytest.raises(UsageError, match=said) as caught:
        gathered()
    assert str(path) in caught.value.message
    assert "secret" not in str(caught.value)


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_V6_CONFIG", "/no/such/file.toml")
    with pytest.raises(UsageError, match=r"/no/such/file\.toml cannot be read"):
        gathered()


@pytest.mark.parametrize("missing", ["server", "username"])
def test_what_is_missing_is_named(missing: str, fake: FakeServer) -> None:
    given = {"server": fake.url, "username": "ada"}
    flags = [f"--{name}={value}" for name, value in given.items() if name != missing]
    with pytest.raises(UsageError, match=f"No {missing} of vantage6 is given") as caught:
        gathered(*flags).log_in()
    assert f"--{missing}" in caught.value.hint
    assert f"FLOWER_V6_{missing.upper()}" in caught.value.hint


def test_an_address_needs_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_V6_PASSWORD", "secret")
    with pytest.raises(UsageError, match="neither http:// nor https://"):
        gathered("--server", "host/api", "--username", "ada").log_in()


# The password


def test_a_password_comes_from_a_file_or_the_environment_or_the_keyboard(
    fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--server", fake.url, "--username", "ada")
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(login, "getpass", lambda _: fake.api.password)
    assert gathered(*flags).log_in().own_organization() == 1

    monkeypatch.setattr(login, "getpass", lambda _: "not asked for")
    monkeypatch.setenv("FLOWER_V6_PASSWORD", fake.api.password)
    assert gathered(*flags).log_in().own_organization() == 1

    monkeypatch.setenv("FLOWER_V6_PASSWORD", "wrong")
    (home / "password").write_text(f"{fake.api.password}\n")
    with_file = (*flags, "--password-file", str(home / "password"))
    assert gathered(*with_file).log_in().own_organization() == 1


def test_a_password_in_the_environment_comes_before_the_configurations_file(
    fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, f'server = "{fake.url}"\nusername = "ada"\npassword_file = "none"\n')
    monkeypatch.setenv("FLOWER_V6_PASSWORD", fake.api.password)
    assert gathered().log_in().own_organization() == 1


def test_without_a_terminal_nobody_is_asked(fake: FakeServer) -> None:
    with pytest.raises(UsageError, match="No password of ada is given") as caught:
        gathered("--server", fake.url, "--username", "ada").log_in()
    assert "FLOWER_V6_PASSWORD" in caught.value.hint


def test_a_password_file_that_is_missing_is_named(fake: FakeServer) -> None:
    flags = ("--server", fake.url, "--username", "ada", "--password-file", "/missing")
    with pytest.raises(UsageError, match="/missing cannot be read"):
        gathered(*flags).log_in()


def test_the_second_factors_code_is_given(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.api.mfa_code = "123456"
    monkeypatch.setenv("FLOWER_V6_PASSWORD", fake.api.password)
    flags = ("--server", fake.url, "--username", "ada")
    with pytest.raises(Vantage6Error, match="two-factor"):
        gathered(*flags).log_in()
    assert gathered(*flags, "--mfa-code", "123456").log_in().own_organization() == 1


# Servers that are none


def test_a_server_that_is_away_is_not_one_that_refuses(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_V6_PASSWORD", "wrong")
    settings = gathered("--server", fake.url, "--username", "ada")
    with fake.away(), pytest.raises(ServerUnreachable):
        settings.log_in()
    with pytest.raises(Vantage6Error, match="refuses the login of ada: Failed to login"):
        settings.log_in()
