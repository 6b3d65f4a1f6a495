"""Keys for SuperNodes that a SuperLink is told of beforehand: `flower-v6 keys`."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from algorithm.flower import Flower
from proxy.errors import UsageError
from proxy.fleet.identity import make_keys


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
        If a name cannot be one, or there is such a key already.
    FlowerError
        If that release has no such command.
    """
    names = list(stations)
    if len(names) == 1 and names[0].isdigit():
        names = [f"station-{number + 1}" for number in range(int(names[0]))]
    if bad := [name for name in names if Path(name).name != name or not name]:
        raise UsageError(
            f"{bad[0]!r} cannot be a station's name.", "It is the name of the key's file too."
        )
    if len(set(names)) != len(names):
        raise UsageError("Two stations cannot have the same name.")
    commands = [shlex.join(flower.registration(folder / f"{name}.pub")) for name in names]
    make_keys(folder, names)
    return commands
