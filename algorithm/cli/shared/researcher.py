"""Options of the commands that a researcher gives in vantage6.

Apart from the others because they know its servers: to import those takes longer than many a
command that needs none.
"""

import argparse

from algorithm.cli.shared.options import positive
from algorithm.researcher.login import FILE, FILE_VARIABLE
from proxy.system.environment import PASSWORD_VARIABLE
from proxy.vantage6.data import Wanted
from proxy.vantage6.v5.login import REALM

# Ids of vantage6's tables (`Integer` in its server's models).
LARGEST_ID = 2**31 - 1


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
