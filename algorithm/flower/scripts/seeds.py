"""Gives the generators of random numbers a seed, so that a program says the same again.

It is a part of `run_serverapp.py`, which loads it by its path: Python 3.9+, and it imports nothing
of the bridge. Python's own generator gets the seed at once, those of NumPy and PyTorch when they
are imported. An app that sets seeds itself does so later, and its own count.

Nor does chance choose the order of a set of futures any more, which follows from where they lie in
memory: the servers of older apps add up what clients say in such an order (flwr 1.20 to 1.42,
`fit_clients` in `flwr/server/server.py`).
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import random
import sys
from concurrent.futures import Future
from itertools import count
from types import ModuleType
from typing import Any

_SEED_OF = {"numpy": "random.seed", "torch": "manual_seed"}


def seed_all(seed: int) -> None:
    """Give generators a seed: those that are there, and those that are imported later.

    Parameters
    ----------
    seed : int
        At least 0, and below 2**32: NumPy takes no others.
    """
    random.seed(seed)
    _number_futures()
    for name in _SEED_OF:
        if name in sys.modules:
            _seed(sys.modules[name], seed)
    sys.meta_path.insert(0, _Finder(seed))


def _number_futures() -> None:
    numbers = count()

    def number(future: Any) -> int:
        known: int | None = future.__dict__.get("_flower_v6_number")
        if known is None:
            known = future.__dict__.setdefault("_flower_v6_number", next(numbers))
        return known

    Future.__hash__ = number  # type: ignore[assignment, method-assign]


def _seed(module: ModuleType, seed: int) -> None:
    function: Any = module
    for part in _SEED_OF[module.__name__].split("."):
        function = getattr(function, part)
    function(seed)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself: has the modules in question seeded once they are imported."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._looking = False

    def find_spec(
        self,
        name: str,
        path: Any = None,  # noqa: ARG002 - none of them lies in a package
        target: Any = None,  # noqa: ARG002
    ) -> Any:
        """Return what others find, with a loader that seeds it."""
        if name not in _SEED_OF or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def seeded(module: ModuleType) -> None:
                execute(module)
                _seed(module, self._seed)

            loader.exec_module = seeded
        return spec
