"""`flower-v6 kill`: ends a run in vantage6."""

import argparse

from algorithm.cli.shared.options import Commands, add_command
from algorithm.cli.shared.researcher import add_login, add_task
from algorithm.monitoring.screen import Screen
from algorithm.researcher.end import kill as end
from algorithm.researcher.login import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "kill", kill, "end a vantage6 task", abbreviations=False)
    add_login(parser)
    add_task(parser)


def kill(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the task cannot be killed.
    """
    end(Settings.gathered(vars(options)).log_in(), options.task, screen)
