"""Options that several commands have."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from algorithm.monitoring.screen import Screen
from algorithm.researcher.login import FILE, FILE_VARIABLE
from proxy.calls import (
    DEFAULT_DEADLINE_SECONDS,
    DEFAULT_LIFETIME,
    DEFAULT_MODE,
    LONGEST_SECONDS,
    Lifetime,
    Mode,
)
from proxy.system.environment import PASSWORD_VARIABLE
from proxy.vantage6.data import Wanted
from proxy.vantage6.v5.login import REALM

Number = TypeVar("Number", int, float)
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Function: TypeAlias = Callable[[argparse.Namespace, Screen], int | None]

# Ids of vantage6's tables (`Integer` in its server's models).
LARGEST_ID = 2**31 - 1


def positive(kind: type[Number], most: float = math.inf) -> Callable[[str], Number]:
    """Return an argparse type: a finite number above zero, and at most so large."""

    def number(text: str) -> Number:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not above zero and finite")
        if value > most:
            raise argparse.ArgumentTypeError(f"{text!r} is more than {most:.0f}")
        return value

    return number


def add_command(
    commands: Commands, name: str, function: Function, about: str, abbreviations: bool = True
) -> argparse.ArgumentParser:
    """Add a command; what it does is said in the list of commands and in its own help."""
    parser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=abbreviations
    )
    parser.set_defaults(function=function, json=False)
    return parser


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add the app's folder."""
    parser.add_argument("app", type=Path, metavar="APP", help="the app's folder")


def add_run_config(parser: argparse.ArgumentParser) -> None:
    """Add --run-config."""
    parser.add_argument(
        "--run-config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="override the app's run config, as with `flwr run`; repeatable",
    )


def add_mode(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add --mode."""
    parser.add_argument(
        "--mode",
        choices=list(Mode),
        default=default,
        help="bridge: with SuperLink and SuperNodes; direct: ServerApp and ClientApps only"
        f" (default: {DEFAULT_MODE})",
    )


def add_supernodes(parser: argparse.ArgumentParser) -> None:
    """Add --supernodes."""
    parser.add_argument(
        "--supernodes",
        choices=list(Lifetime),
        help="warm: keep each station's SuperNode and the ClientApp's state; per-round: start a"
        f" SuperNode for each message (default: {DEFAULT_LIFETIME})",
    )


def add_deadline(parser: argparse.ArgumentParser, default: float | None = None) -> None:
    """Add --deadline."""
    parser.add_argument(
        "--deadline",
        type=positive(float, LONGEST_SECONDS),
        default=default,
        metavar="SECONDS",
        help=f"the time that a station has for a message (default: {DEFAULT_DEADLINE_SECONDS:g})",
    )


def add_flower_env(parser: argparse.ArgumentParser) -> None:
    """Add --flower-env."""
    parser.add_argument(
        "--flower-env",
        type=Path,
        metavar="DIR",
        help="the virtual environment that has Flower (default: that of flower-v6)",
    )


def add_output(parser: "argparse._ActionsContainer", contents: str, required: bool = False) -> None:
    """Add --output, a folder."""
    parser.add_argument(
        "--output",
        type=Path,
        required=required,
        metavar="DIR",
        help=f"the folder for {contents}; made if it is missing",
    )


def add_organizations(parser: "argparse._ActionsContainer") -> None:
    """Add the organizations that are stations, and their databases."""
    parser.add_argument(
        "--organizations",
        nargs="+",
        default=[],
        metavar="NAME",
        help="the organizations that are stations, by name or id (default: all of the"
        " collaboration)",
    )
    parser.add_argument(
        "--database",
        action="append",
        default=[],
        metavar="LABEL",
        help="a database of the stations that ClientApps get; repeatable",
    )
    parser.add_argument(
        "--session",
        type=positive(int, LARGEST_ID),
        metavar="NUMBER",
        help="vantage6 5: a session in which data is extracted already (default: a new one)",
    )
    parser.add_argument(
        "--dataframe",
        action="append",
        default=[],
        metavar="NAME",
        help="vantage6 5: a dataframe of the session that ClientApps get, by name or id; repeatable"
        " (default: all of it)",
    )


def wanted(options: argparse.Namespace) -> Wanted:
    """Return the data that the options of `add_organizations` name."""
    return Wanted(options.database, options.session or 0, options.dataframe)


def add_collaboration(parser: "argparse._ActionsContainer") -> None:
    """Add --collaboration."""
    parser.add_argument(
        "--collaboration",
        metavar="NAME",
        help="the collaboration, by name or id (default: that of the configuration file)",
    )


def add_task(parser: argparse.ArgumentParser) -> None:
    """Add a task's number."""
    parser.add_argument(
        "task",
        type=positive(int, LARGEST_ID),
        metavar="TASK",
        help="the task's number, as `flower-v6 submit` prints it",
    )


def add_tidy(parser: argparse.ArgumentParser) -> None:
    """Add --tidy."""
    parser.add_argument(
        "--tidy",
        action="store_true",
        help="delete each message's task at the server once the run is done with it, with its"
        " input, result and log; all of them at the end",
    )


def add_login(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who the user is at which vantage6 server."""
    group = parser.add_argument_group(
        "login",
        f"Each can also be in the environment, as FLOWER_V6_SERVER and so on, or in {FILE}"
        f' (or the file that {FILE_VARIABLE} names), as `server = "https://host/api"`. The'
        f" password comes from the password file, from {PASSWORD_VARIABLE}, or is asked for.",
    )
    group.add_argument(
        "--server",
        metavar="URL",
        help="the server's API: https://host/api, in vantage6 5 https://host/hq",
    )
    group.add_argument(
        "--auth-server", metavar="URL", help="vantage6 5: the Keycloak where users log in"
    )
    group.add_argument(
        "--auth-realm", metavar="NAME", help=f"vantage6 5: its realm (default: {REALM})"
    )
    group.add_argument(
        "--username", metavar="NAME", help="the user at the server, or the service account"
    )
    group.add_argument(
        "--password-file",
        metavar="FILE",
        help="a file with the user's password, or the service account's secret; without one, users"
        " of vantage6 5 log in with a browser",
    )
    group.add_argument("--mfa-code", metavar="CODE", help="the second factor's code")
    group.add_argument(
        "--organization-key",
        metavar="FILE",
        help="the private key of the user's organization, for encrypted collaborations",
    )


def add_superlink(parser: argparse.ArgumentParser) -> None:
    """Add --superlink."""
    parser.add_argument(
        "--superlink",
        required=True,
        metavar="HOST:PORT",
        help="the address of the SuperLink's Fleet API",
    )


def add_json(parser: argparse.ArgumentParser, contents: str) -> None:
    """Add --json."""
    parser.add_argument(
        "--json",
        action="store_true",
        help=f"print {contents} to standard output, all else to standard error",
    )
