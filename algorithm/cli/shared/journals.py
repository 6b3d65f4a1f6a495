"""The journal that a command keeps, as its options say."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager

from proxy.errors import UsageError
from proxy.journal.journal import Journal


def add_keep_replies(parser: argparse.ArgumentParser) -> None:
    """Add --keep-replies."""
    parser.add_argument(
        "--keep-replies",
        action="store_true",
        help="keep all reply bundles in the journal, also those that nobody needs any more",
    )


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Journal | None]:
    """Open the journal that --journal names, if it is given.

    Raises
    ------
    UsageError, DamagedRecords
        If it cannot be used.
    """
    if options.journal is None:
        if options.keep_replies:
            raise UsageError("--keep-replies keeps them in a journal.", "Name one: --journal DIR.")
        yield None
        return
    with closing(Journal(options.journal, options.keep_replies)) as journal:
        yield journal
