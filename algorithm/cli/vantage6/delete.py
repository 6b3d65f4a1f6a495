"""`flower-v6 delete`: removes a run from a vantage6 server's database."""

import argparse

from algorithm.cli.shared.options import Commands, add_command
from algorithm.cli.shared.researcher import add_login, add_task
from algorithm.monitoring.screen import Screen
from algorithm.researcher.end import delete as delete_run
from algorithm.researcher.login import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    about = "delete a vantage6 task, with all that its messages left at the server"
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "delete", delete, about, abbreviations=False)
    add_login(parser)
    add_task(parser)
    parser.add_argument("--running", action="store_true", help="end it first, if it runs still")


def delete(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the task cannot be deleted.
    """
    server = Settings.gathered(vars(options)).log_in()
    delete_run(server, options.task, options.running, screen)
