"""`flower-v6 watch`: a task's log and subtasks, until it ends."""

import argparse

from algorithm.cli.options import Commands, add_command, add_login, add_task
from algorithm.researcher.collaboration import existing_task
from algorithm.researcher.login import Settings
from algorithm.researcher.watch import check
from algorithm.researcher.watch import watch as follow
from algorithm.runs.screen import Screen


def add(commands: Commands) -> None:
    """Add the command."""
    about = "show the log of a vantage6 task until it ends"
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "watch", watch, about, abbreviations=False)
    add_login(parser)
    add_task(parser)


def watch(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the task cannot be watched, or did not complete.
    """
    settings = Settings.gathered(vars(options))
    server = settings.log_in()
    existing_task(server, options.task)
    check(server, options.task, follow(server, options.task, screen))
