"""`flower-v6 image`: the vantage6 algorithm image of a Flower app."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithm.cli.shared.options import Commands, add_app, add_command
from algorithm.image.build import BASE_IMAGE, build_image, release_beside_the_bridge
from algorithm.image.store_entry_5 import entry_for_5
from algorithm.monitoring.screen import Screen


def add(commands: Commands) -> None:
    """Add the command."""
    about = "build the vantage6 algorithm image of a Flower app"
    parser = add_command(commands, "image", image, about)
    add_app(parser)
    parser.add_argument("--tag", required=True, metavar="NAME:TAG", help="the image's name")
    parser.add_argument(
        "--flwr",
        default="",
        metavar="RELEASE",
        help="the release of Flower in the image (default: the one installed with flower-v6, else"
        " the one that the app requires)",
    )
    parser.add_argument(
        "--base-image",
        default=BASE_IMAGE,
        metavar="IMAGE",
        help="an image that has Python (default: %(default)s)",
    )
    parser.add_argument(
        "--chart",
        default="",
        metavar="METRIC",
        help="a metric of the replies that vantage6's web interface draws by round (default: none)",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="write an entry for an algorithm store of vantage6 4 to this file, and one for"
        " vantage6 5 beside it, with -5 in its name",
    )


def image(options: argparse.Namespace, screen: Screen) -> None:
    """Run the command.

    Raises
    ------
    BridgeError
        If the image cannot be built.
    """
    flwr = options.flwr or release_beside_the_bridge()
    built = build_image(
        options.app, options.tag, flwr, options.base_image, screen.line, options.chart
    )
    if options.store is not None:
        _write(options.store, built.store_entry)
        five = options.store.with_stem(f"{options.store.stem}-5")
        _write(five, entry_for_5(built.store_entry))
    screen.line(
        f"flower-v6 | {built.name}: {built.size / 1e6:.0f} MB, flwr {built.manifest.flwr},"
        f" app (FAB) {built.manifest.fab_sha256}"
    )


def _write(path: Path, entry: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(entry, indent=2) + "\n")
