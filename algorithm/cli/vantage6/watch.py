"""`flower-v6 watch`: a task's log and subtasks, until it ends."""

import argparse

from algorithm.cli.shared.observing import add_metrics, metrics_at
from algorithm.cli.shared.options import Commands, add_command
from algorithm.cli.shared.researcher import add_login, add_task, add_tidy
from algorithm.monitoring.screen import Screen
from algorithm.researcher.collaboration import existing_task
from algorithm.researcher.end import central_task
from algorithm.researcher.login import Settings
from algorithm.researcher.nodes import Nodes
from algorithm.researcher.tidy import Tidier
from algorithm.researcher.watch import check
from algorithm.researcher.watch import watch as follow


def add(commands: Commands) -> None:
    """Add the command."""
    about = "show the log of a vantage6 task until it ends"
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "watch", watch, about, abbreviations=False)
    add_login(parser)
    add_task(parser)
    add_tidy(parser)
    add_metrics(parser)


def watch(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the task cannot be watched, or did not complete.
    """
    server = Settings.gathered(vars(options)).log_in()
    # Who deletes has to know whose messages they are.
    task = (central_task if options.tidy else existing_task)(server, options.task)
    tidier = Tidier(server, screen) if options.tidy else None
    with metrics_at(options.metrics, None, screen) as metrics:
        takers = [screen.take]
        if metrics is not None:
            takers.append(metrics.take)
            metrics.online = Nodes(server, task).online
        status = follow(server, options.task, screen, takers, tidier)
    check(server, options.task, status, screen)
