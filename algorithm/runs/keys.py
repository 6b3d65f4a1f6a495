"""Keys for SuperNodes that a SuperLink is told of beforehand, and of lanes: `flower-v6 keys`."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from algorithm.flower.environment import Flower
from proxy.errors import UsageError
from proxy.lanes.letters.keys import STATION_NAME, KeyPair, PublicKeys
from proxy.transport.identity import key_paths, make_keys

# As many as `flower-v6 attach` can have.
_MOST_STATIONS = 10_000


def keys_for(stations: Sequence[str], folder: Path, flower: Flower) -> list[str]:
    """Make the stations' keys; returns the commands that register them at a SuperLink.

    Parameters
    ----------
    stations : Sequence[str]
        The stations' names; or one number, for those of `flower-v6 attach --stations N`.
    folder : Path
        Where to leave the keys; made if it is missing.
    flower : Flower
        The environment whose commands to return.

    Raises
    ------
    UsageError
        If a name is empty or given twice, a number is too large, or there is such a key already.
    FlowerError
        If that release has no such command.
    """
    names = list(stations)
    if len(names) == 1 and names[0].isdecimal():
        names = [f"station-{number + 1}" for number in range(_number(names[0]))]
    if not all(names):
        raise UsageError("A station's name cannot be empty.")
    if len(set(names)) != len(names):
        raise UsageError("Two stations cannot have the same name.")
    public_keys = [path.with_name(f"{path.name}.pub") for path in key_paths(folder, names)]
    commands = [shlex.join(flower.registration(path)) for path in public_keys]
    make_keys(folder, names)
    return commands


def lane_keys_for(names: Sequence[str], folder: Path) -> list[str]:
    """Make keys for the ends of lanes; returns where each public key is, and its fingerprint.

    Raises
    ------
    UsageError
        If an end cannot have such a name, or there is such a key already.
    """
    for name in names:
        if not STATION_NAME.fullmatch(name):
            raise UsageError(
                f"An end of a lane cannot have the name {name[:100]!r}.",
                "Give it one of 1 to 64 letters, digits, hyphens and underscores.",
            )
    lines = []
    for name in names:
        pair = KeyPair.new()
        pair.write(folder / name)
        lines.append(f"{folder / name}.pub {pair.public.fingerprint}")
    return lines


def lane_key_in(path: Path) -> str:
    """Return the fingerprint of a lane's key, given its private or its public file.

    Raises
    ------
    UsageError
        If it is neither.
    """
    public = PublicKeys.read(path) if path.suffix == ".pub" else KeyPair.read(path).public
    return f"{path} {public.fingerprint}"


def _number(text: str) -> int:
    """Return how many stations there are."""
    if len(text) > len(str(_MOST_STATIONS)) or not 0 < int(text) <= _MOST_STATIONS:
        raise UsageError(
            f"There cannot be {text} stations.", f"Give a number from 1 to {_MOST_STATIONS}."
        )
    return int(text)
