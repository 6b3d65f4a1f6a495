"""`flower-v6 submit`: an image's Flower app as a vantage6 task."""

import argparse

from algorithm.cli.shared.options import (
    Commands,
    add_command,
    add_deadline,
    add_mode,
    add_output,
    add_run_config,
    add_supernodes,
    positive,
)
from algorithm.cli.shared.researcher import (
    add_collaboration,
    add_login,
    add_organizations,
    add_tidy,
    wanted,
)
from algorithm.flower.node_config import run_config
from algorithm.monitoring.screen import Screen
from algorithm.paths import check_folder
from algorithm.researcher.collaboration import enter, existing_task
from algorithm.researcher.fetch import check_output, fetch
from algorithm.researcher.login import Settings
from algorithm.researcher.submit import Submission
from algorithm.researcher.submit import submit as create_task
from algorithm.researcher.tidy import Tidier
from algorithm.researcher.watch import check, watch
from proxy.calls import LONGEST_SECONDS
from proxy.errors import UsageError


def add(commands: Commands) -> None:
    """Add the command."""
    about = "run the Flower app of an image in vantage6"
    # No abbreviations: a --password must not pass for --password-file.
    parser = add_command(commands, "submit", submit, about, abbreviations=False)
    add_login(parser)
    parser.add_argument("image", metavar="IMAGE", help="the app's image, from `flower-v6 image`")
    parser.add_argument(
        "--name",
        default="",
        help="what the task is called (default: the image's name and tag; the web interface shows"
        " 30 characters)",
    )
    add_collaboration(parser)
    parser.add_argument(
        "--organization",
        default="",
        metavar="NAME",
        help="the organization whose node runs the ServerApp, by name or id (default: the user's)",
    )
    add_organizations(parser)
    add_run_config(parser)
    add_mode(parser)
    add_supernodes(parser)
    add_deadline(parser)
    parser.add_argument(
        "--idle-limit",
        type=positive(float, LONGEST_SECONDS),
        metavar="SECONDS",
        help="the time without a message after which a warm SuperNode ends (default: twice the"
        " deadline)",
    )
    add_tidy(parser)
    afterwards = parser.add_mutually_exclusive_group()
    afterwards.add_argument("--detach", action="store_true", help="do not watch the task")
    add_output(afterwards, "run.json and the files that the ServerApp wrote")


def submit(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the task cannot be created, or did not complete.
    """
    if not options.image:
        raise UsageError("The image's name is empty.", "Name the image of `flower-v6 image`.")
    if options.tidy and options.detach:
        raise UsageError(
            "--tidy cannot be used with --detach: the command ends before the run does.",
            "Leave --detach out, or use `flower-v6 watch TASK --tidy` afterwards.",
        )
    arguments = {"run_config": run_config(options.run_config)} if options.run_config else {}
    for name in ("mode", "supernodes", "deadline", "idle_limit"):
        if (value := getattr(options, name)) is not None:
            arguments[name] = value
    if options.output is not None:
        check_folder(options.output)
        check_output(options.output)
        options.output.mkdir(parents=True, exist_ok=True)
    researcher = enter(Settings.gathered(vars(options)))
    submission = Submission(
        options.image,
        options.organization,
        options.organizations,
        arguments,
        wanted(options),
        options.name,
    )
    task = create_task(researcher, submission, screen)
    screen.line(
        f"flower-v6 | task {task} is submitted and goes on without this command; watch it with"
        f" `flower-v6 watch {task}`, get its outcome with `flower-v6 fetch {task} --output DIR`"
    )
    if options.detach:
        return
    tidier = Tidier(researcher.server, screen) if options.tidy else None
    status = watch(researcher.server, task, screen, [screen.take], tidier)
    if options.output is not None:
        fetch(researcher, existing_task(researcher.server, task), options.output, screen)
    check(researcher.server, task, status, screen)
