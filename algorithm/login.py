"""Who the user is at a vantage6 server: from flags, the environment, and a configuration file.

The password is never a flag: other users of a machine see the flags of its processes.
"""

import argparse
import os
import sys
import tomllib
from dataclasses import dataclass, field, fields
from getpass import getpass
from pathlib import Path
from typing import Self

from proxy.errors import UsageError
from proxy.vantage6.login import UserLogin
from proxy.vantage6.server import Server

_FILE = "~/.config/flower-v6/config.toml"
_FILE_VARIABLE = "FLOWER_V6_CONFIG"
PASSWORD_VARIABLE = "FLOWER_V6_PASSWORD"  # noqa: S105
_PATHS = ("password_file", "organization_key")


def add_login_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who the user is at which server."""
    group = parser.add_argument_group(
        "login",
        f"Each may also be in the environment, as FLOWER_V6_SERVER and so on, or in {_FILE}"
        f' (or the file that {_FILE_VARIABLE} names), as `server = "https://host/api"`. The'
        f" password is taken from the password file, from {PASSWORD_VARIABLE}, or asked for.",
    )
    group.add_argument("--server", metavar="URL", help="the server's API: https://host/api")
    group.add_argument("--username", metavar="NAME", help="the user at the server")
    group.add_argument("--password-file", metavar="FILE", help="holds the user's password")
    group.add_argument("--mfa-code", default="", metavar="CODE", help="the second factor's code")
    group.add_argument(
        "--organization-key",
        metavar="FILE",
        help="the private key of the user's organization, for encrypted collaborations",
    )


@dataclass(frozen=True)
class Settings:
    """What is known of a user and their server; empty where it is not known."""

    server: str = ""
    username: str = ""
    password_file: str = ""
    organization_key: str = ""
    collaboration: str = ""
    mfa_code: str = field(default="", repr=False)

    @classmethod
    def gathered(cls, options: argparse.Namespace) -> Self:
        """Return the settings: those of the flags, then the environment's, then the file's.

        Raises
        ------
        UsageError
            If the configuration file cannot be used.
        """
        found = _from_file()
        for name in _names():
            variable = f"FLOWER_V6_{name.upper()}"
            if value := getattr(options, name, None) or os.environ.get(variable):
                found[name] = value
        # Whoever names a password in the environment does not want that of a file's file.
        if os.environ.get(PASSWORD_VARIABLE) and not options.password_file:
            found.pop("password_file", None)
        return cls(**found, mfa_code=options.mfa_code)

    def log_in(self) -> Server:
        """Log in; returns the server's API for the user.

        Raises
        ------
        UsageError
            If something is missing.
        ServerUnreachable, Vantage6Error
            If there is no vantage6 server, or it does not let the user in.
        """
        for name in ("server", "username"):
            if not getattr(self, name):
                raise UsageError(
                    f"The vantage6 {name} is not known.",
                    f"Give --{name}, or set FLOWER_V6_{name.upper()}, or write it to {_FILE}.",
                )
        if not self.server.startswith(("http://", "https://")):
            raise UsageError(
                f"The server's address {self.server} says neither http:// nor https://.",
                "Give its full address, with the API's path: https://host/api.",
            )
        login = UserLogin(self.server, self.username, self._password(), self.mfa_code)
        return Server(self.server, login)

    def _password(self) -> str:
        if self.password_file:
            try:
                return Path(self.password_file).expanduser().read_text().rstrip("\r\n")
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"The password file {self.password_file} cannot be read: {error}."
                ) from error
        if password := os.environ.get(PASSWORD_VARIABLE):
            return password
        if sys.stdin.isatty():
            return getpass(f"Password of {self.username} at {self.server}: ")
        raise UsageError(
            f"The password of {self.username} is not known.",
            f"Set {PASSWORD_VARIABLE}, or give --password-file.",
        )


def _names() -> list[str]:
    """Return what may stand in the configuration file."""
    return [each.name for each in fields(Settings) if each.name != "mfa_code"]


def _from_file() -> dict[str, str]:
    named = os.environ.get(_FILE_VARIABLE)
    path = Path(named or _FILE).expanduser()
    if not named and not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"The configuration {path} cannot be read: {error}.") from error
    for name, value in found.items():
        if name not in _names() or not isinstance(value, str):
            raise UsageError(
                f"The configuration {path} has {name!r}, which it cannot have.",
                f"It may have strings named {', '.join(_names())}.",
            )
    for name in _PATHS:
        if name in found:
            found[name] = str(path.parent / Path(found[name]).expanduser())
    return found
