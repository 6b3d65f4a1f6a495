"""Who the user is at a vantage6 server: from flags, the environment, and a configuration file.

The password is never a flag: other users of a machine see the flags of its processes.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from getpass import getpass
from typing import Any, Self

from algorithm.flower import strict_toml
from algorithm.paths import expanded
from proxy.errors import UsageError, reason_of
from proxy.generations import generation_at
from proxy.platforms import VANTAGE6_4, VANTAGE6_5
from proxy.system.environment import PASSWORD_VARIABLE
from proxy.vantage6.server import Server
from proxy.vantage6.v4.login import UserLogin
from proxy.vantage6.v4.server import Server4
from proxy.vantage6.v5.login import REALM, DeviceLogin, Realm, ServiceLogin
from proxy.vantage6.v5.server import Server5

FILE = "~/.config/flower-v6/config.toml"
FILE_VARIABLE = "FLOWER_V6_CONFIG"
_PATHS = ("password_file", "organization_key")


@dataclass(frozen=True)
class Settings:
    """What is known of a user and their server; empty where it is not known."""

    server: str = ""
    username: str = ""
    password_file: str = ""
    organization_key: str = ""
    collaboration: str = ""
    auth_server: str = ""
    auth_realm: str = ""
    mfa_code: str = field(default="", repr=False)

    @property
    def user(self) -> str:
        """Who logs in, in a sentence; only a browser may know."""
        return self.username or "you"

    @classmethod
    def gathered(cls, flags: Mapping[str, Any]) -> Self:
        """Return the settings: those of the flags, then the environment's, then the file's.

        Parameters
        ----------
        flags : Mapping[str, Any]
            A command's options by name; other options than the login's are ignored.

        Raises
        ------
        UsageError
            If the configuration file cannot be used.
        """
        values = _from_file()
        for name in _names():
            if value := flags.get(name) or os.environ.get(f"FLOWER_V6_{name.upper()}"):
                values[name] = value
        # FLOWER_V6_PASSWORD overrides the configuration file's password_file.
        if os.environ.get(PASSWORD_VARIABLE) and not flags.get("password_file"):
            values.pop("password_file", None)
        return cls(**values, mfa_code=flags.get("mfa_code") or "")

    def log_in(self) -> Server:
        """Log in; returns the server's API for the user.

        Raises
        ------
        UsageError
            If something is missing.
        ServerUnreachable, Vantage6Error
            If there is no vantage6 server, or it does not let the user in.
        """
        self._need("server")
        if not self.server.startswith(("http://", "https://")):
            raise UsageError(
                f"The server's address {self.server} has neither http:// nor https://.",
                "Give the full address, with the API's path: https://host/api.",
            )
        ways = {VANTAGE6_4: self._log_in_4, VANTAGE6_5: self._log_in_5}
        return ways[generation_at(self.server).platform]()

    def _log_in_4(self) -> Server:
        self._need("username")
        login = UserLogin(self.server, self.username, self._password(), self.mfa_code)
        return Server4(self.server, login)

    def _log_in_5(self) -> Server:
        self._need("auth_server")
        realm = Realm(self.auth_server, self.auth_realm or REALM)
        if self.password_file or os.environ.get(PASSWORD_VARIABLE):
            self._need("username")
            return Server5(self.server, ServiceLogin(realm, self.username, self._password()))
        return Server5(self.server, DeviceLogin(realm))

    def _need(self, name: str) -> None:
        if not getattr(self, name):
            option = name.replace("_", "-")
            raise UsageError(
                f"No {name.replace('_', ' ')} of vantage6 is given.",
                f"Use --{option}, set FLOWER_V6_{name.upper()}, or write it to {FILE}.",
            )

    def _password(self) -> str:
        if self.password_file:
            try:
                return expanded(self.password_file).read_text("utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"The password file {self.password_file} cannot be read: {reason_of(error)}."
                ) from error
        if password := os.environ.get(PASSWORD_VARIABLE):
            return password
        if sys.stdin.isatty():
            return getpass(f"Password of {self.username} at {self.server}: ")
        raise UsageError(
            f"No password of {self.username} is given.",
            f"Set {PASSWORD_VARIABLE}, or use --password-file.",
        )


def _names() -> list[str]:
    """Return the names that the configuration file can have."""
    return [member.name for member in fields(Settings) if member.name != "mfa_code"]


def _from_file() -> dict[str, str]:
    named = os.environ.get(FILE_VARIABLE)
    try:
        path = expanded(named or FILE)
        if not named and not path.exists():
            return {}
        values = strict_toml.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"The configuration file {path} cannot be read: {reason_of(error)}."
        ) from error
    except UsageError:
        if named:
            raise
        return {}  # without a home there is no such file
    for name, value in values.items():
        if name not in _names() or not isinstance(value, str):
            raise UsageError(
                f"The configuration file {path} has a value {name!r} that is not known, or no"
                " string.",
                f"It can have the strings {', '.join(_names())}.",
            )
    for name in _PATHS:
        if name in values:
            values[name] = str(path.parent / expanded(values[name]))
    return values
