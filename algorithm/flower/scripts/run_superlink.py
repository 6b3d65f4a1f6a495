"""Runs a SuperLink that hands out replies in the order in which it got them.

    run_superlink.py PROGRAM ARGUMENTS...

A script for Flower's own interpreter, Python 3.9+; it imports nothing of the bridge. Flower hands
out replies that came since it was asked last in the order of a set of random ids. Sums of floats
depend on their order: a ServerApp that is started again would say something else than before, as
soon as it adds up three. The order says nothing else, so no app can rely on it.

Source: `get_message_res` of flwr 1.18 and 1.42, and `get_task_res` of 1.15, in
`flwr/server/superlink/linkstate/in_memory_linkstate.py`. If a later release has neither, its order
stays as it is.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Get = Callable[..., "list[Any]"]


def keep_order(state: Any) -> None:
    """Have a class of Flower's, which keeps messages in memory, return replies in their order."""
    for name, replies in (
        ("get_message_res", "message_res_store"),
        ("get_task_res", "task_res_store"),
    ):
        if get := getattr(state, name, None):
            setattr(state, name, in_order(get, replies))


def in_order(get: Get, replies: str) -> Get:
    """Return what gets replies in the order of the dict of all that are there, by id."""

    def get_in_order(state: Any, *arguments: Any, **options: Any) -> list[Any]:
        got = get(state, *arguments, **options)
        there = list(getattr(state, replies))  # at once: other threads add to it
        places = {str(reply_id): place for place, reply_id in enumerate(there)}
        return sorted(got, key=lambda reply: places.get(_id_of(reply), len(places)))

    return get_in_order


def _id_of(reply: Any) -> str:
    return str(reply.metadata.message_id if hasattr(reply, "metadata") else reply.task_id)


if __name__ == "__main__":
    with suppress(ImportError, AttributeError):
        keep_order(importlib.import_module("flwr.server.superlink.linkstate").InMemoryLinkState)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
