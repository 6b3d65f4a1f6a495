"""Options that several commands have."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from algorithm.monitoring.screen import Screen
from proxy.calls import (
    DEFAULT_DEADLINE_SECONDS,
    DEFAULT_LIFETIME,
    DEFAULT_MODE,
    LONGEST_SECONDS,
    Lifetime,
    Mode,
)

Number = TypeVar("Number", int, float)
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Function: TypeAlias = Callable[[argparse.Namespace, Screen], int | None]


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
