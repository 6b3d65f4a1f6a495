"""The arguments of the central function."""

import json
from collections.abc import Iterator

from algorithm.flower.node_config import pairs, parsed
from algorithm.functions.arguments import Arguments
from proxy import strict_json
from proxy.errors import UsageError

ERRORS = (UsageError,)
_KEYS = ("rounds", "optimizer.name")


def parse(data: bytes) -> None:
    """Check arguments; a run config that is accepted says to Flower what it says."""
    try:
        given = strict_json.loads(data)
    except ValueError:
        return
    arguments = Arguments.checked(given, _KEYS)
    assert set(arguments.run_config) <= set(_KEYS)
    assert arguments.host_idle_limit is None or arguments.host_idle_limit > 0
    if all(isinstance(each, str) for each in arguments.run_config.values()):
        text = pairs(arguments.run_config)
        if len(text) < 1000 and text.isascii():
            parsed(text, "run config")


def seeds() -> Iterator[bytes]:
    """Make arguments."""
    for given in (
        {"run_config": {"rounds": 3, "optimizer.name": 'a "b"\\'}, "deadline": 5.5},
        {"organizations": [1, "Alpha"], "supernodes": "per-round", "mode": "direct"},
        {"idle_limit": float("nan"), "deadline": 1e308},
        {"run_config": {"x" * 1000: 1}},
    ):
        yield json.dumps(given).encode()


def bombs() -> Iterator[bytes]:
    """A number of many digits, many organizations."""
    yield b'{"deadline": ' + b"9" * 4000 + b"}"
    yield b'{"organizations": [' + b"1," * 300_000 + b"1]}"
    yield b'{"organizations": [' + b"{}," * 300_000 + b"1]}"
