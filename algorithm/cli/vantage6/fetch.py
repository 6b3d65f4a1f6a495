"""`flower-v6 fetch`: a task's outcome."""

import argparse

from algorithm.cli.shared.options import Commands, add_command, add_output
from algorithm.cli.shared.researcher import add_login, add_task
from algorithm.monitoring.screen import Screen
from algorithm.paths import check_folder
from algorithm.researcher.collaboration import enter_by_task
from algorithm.researcher.fetch import fetch as write_outcome
from algorithm.researcher.login import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    about = "get the outcome of a vantage6 task"
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "fetch", fetch, about, abbreviations=False)
    add_login(parser)
    add_task(parser)
    add_output(parser, "run.json and the files that the ServerApp wrote", required=True)


def fetch(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the task has no outcome, or did not complete.
    """
    check_folder(options.output)
    researcher, task = enter_by_task(Settings.gathered(vars(options)), options.task)
    write_outcome(researcher, task, options.output, screen)
