"""`flower-v6 report`: what a run left, as a page that a person looks at."""

import argparse
from pathlib import Path

from algorithm.cli.shared.options import Commands, add_command
from algorithm.monitoring.screen import Screen
from algorithm.report.compare import comparison_of
from algorithm.report.crate import write_crate
from algorithm.report.page import page_of
from algorithm.report.reading.native import read_compared
from algorithm.report.reading.results import PAGE, Results, read_results
from algorithm.report.write import write_page
from proxy.errors import UsageError

_COMPARISON = "comparison.html"


def add(commands: Commands) -> None:
    """Add the command."""
    about = "show what a run left as one HTML page"
    parser = add_command(commands, "report", report, about)
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="the folder that `run --output` or `fetch` has filled, or its run.json; with --compare"
        " also a log of Flower by itself, as `flwr run` shows it",
    )
    parser.add_argument(
        "--compare", action="store_true", help="show several runs side by side, on one page"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"the page (default: {PAGE} in RESULTS; with --compare {_COMPARISON} here)",
    )
    parser.add_argument(
        "--crate",
        type=Path,
        metavar="ZIP",
        help="also write an RO-Crate of the run, for a repository: a zip file with all that is in"
        " RESULTS, the page, and what it is",
    )


def report(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If a run cannot be read, or the page not be written.
    """
    if options.compare and options.crate is not None:
        raise UsageError("--crate describes one run, --compare shows several.", "Leave out one.")
    if not options.compare and len(options.results) > 1:
        raise UsageError(
            "A page shows one run.", "Name one folder, or add --compare to see several."
        )
    if options.compare:
        runs = [read_compared(path) for path in options.results]
        _write(comparison_of(runs), options.output or Path(_COMPARISON), screen)
        return
    _report(read_results(options.results[0]), options, screen)


def _report(results: Results, options: argparse.Namespace, screen: Screen) -> None:
    page = page_of(results)
    _write(page, options.output or results.folder / PAGE, screen)
    if options.crate is not None:
        write_crate(results, page, options.crate)
        screen.line(f"flower-v6 | the crate is {options.crate}")


def _write(page: str, path: Path, screen: Screen) -> None:
    write_page(page, path)
    screen.line(f"flower-v6 | the page is {path}")
