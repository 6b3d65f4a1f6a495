"""The commands of a researcher at a vantage6 server: submit, watch, fetch."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from algorithm.arguments import SUPERNODES
from algorithm.fetch import check_output, fetch
from algorithm.login import Settings, add_login_options
from algorithm.modes import MODES
from algorithm.node_config import run_config
from algorithm.options import positive, seconds
from algorithm.researcher import enter, enter_by_task, existing_task
from algorithm.screen import Screen
from algorithm.submit import Submission, submit
from algorithm.watch import check, watch
from proxy.calls import DEFAULT_DEADLINE_SECONDS, DEFAULT_LIFETIME, DEFAULT_MODE

Command = Callable[[argparse.Namespace, Screen], None]


def add_vantage6_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the commands; each has its function as the option `function`."""
    _add_submit(_added(commands, "submit", _submit, "run an image's Flower app in vantage6"))
    watching = _added(commands, "watch", _watch, "follow a task until it ends")
    fetching = _added(commands, "fetch", _fetch, "bring a task's outcome home")
    for each in (watching, fetching):
        each.add_argument(
            "task", type=positive, metavar="TASK", help="the number that `submit` printed"
        )
    _add_output(fetching, required=True)


def _submit(options: argparse.Namespace, screen: Screen) -> None:
    """`flower-v6 submit`."""
    arguments = {"run_config": run_config(options.run_config)} if options.run_config else {}
    for name in ("mode", "supernodes", "deadline", "idle_limit"):
        if (value := getattr(options, name)) is not None:
            arguments[name] = value
    if options.output is not None:
        check_output(options.output)
        options.output.mkdir(parents=True, exist_ok=True)
    researcher = enter(options)
    what = Submission(
        options.image,
        options.organization,
        options.organizations,
        arguments,
        options.database,
    )
    task = submit(researcher, what, screen)
    screen.line(
        f"flower-v6 | task {task} is submitted, and goes on without this command; see it with"
        f" `flower-v6 watch {task}`, have its outcome with `flower-v6 fetch {task} --output DIR`"
    )
    if options.detach:
        return
    status = watch(researcher.server, task, screen)
    if options.output is not None:
        fetch(researcher, existing_task(researcher.server, task), options.output, screen)
    check(task, status)


def _watch(options: argparse.Namespace, screen: Screen) -> None:
    """`flower-v6 watch`."""
    server = Settings.gathered(options).log_in()
    existing_task(server, options.task)
    check(options.task, watch(server, options.task, screen))


def _fetch(options: argparse.Namespace, screen: Screen) -> None:
    """`flower-v6 fetch`."""
    fetch(*enter_by_task(options), options.output, screen)


def _added(
    commands: "argparse._SubParsersAction[Any]", name: str, function: Command, about: str
) -> argparse.ArgumentParser:
    # Nobody's --password is to be taken for the beginning of --password-file.
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, allow_abbrev=False)
    parser.set_defaults(function=function, json=False)
    add_login_options(parser)
    return parser


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="the app's image, from `flower-v6 image`")
    parser.add_argument(
        "--collaboration", metavar="NAME", help="name or id; may be in the configuration file"
    )
    parser.add_argument(
        "--organization",
        default="",
        metavar="NAME",
        help="name or id of whose node runs the ServerApp (default: the user's own)",
    )
    parser.add_argument(
        "--organizations",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names or ids of whose nodes are stations (default: all of the collaboration)",
    )
    parser.add_argument(
        "--run-config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="override the app's run config, as with `flwr run`; repeatable",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="with a SuperLink and SuperNodes, or without: ServerApp and ClientApps by themselves"
        f" (default: {DEFAULT_MODE})",
    )
    parser.add_argument(
        "--supernodes",
        choices=SUPERNODES,
        help="keep each station's SuperNode, and with it the ClientApp's state, or start one for"
        f" each message (default: {DEFAULT_LIFETIME})",
    )
    parser.add_argument(
        "--deadline",
        type=seconds,
        metavar="SECONDS",
        help=f"how long a station may take for a message (default: {DEFAULT_DEADLINE_SECONDS:g})",
    )
    parser.add_argument(
        "--idle-limit",
        type=seconds,
        metavar="SECONDS",
        help="after how long without a message a warm SuperNode ends (default: twice the deadline)",
    )
    parser.add_argument(
        "--database",
        action="append",
        default=[],
        metavar="LABEL",
        help="a database that the ClientApps are to find; repeatable",
    )
    then = parser.add_mutually_exclusive_group()
    then.add_argument("--detach", action="store_true", help="do not watch the task")
    _add_output(then)


def _add_output(parser: "argparse._ActionsContainer", required: bool = False) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        required=required,
        metavar="DIR",
        help="where to leave run.json and the files that the ServerApp wrote",
    )
