"""The file of a station that stays: what its owner says of it, in TOML.

    lane = "folder:/mnt/share"        # how the central reaches it
    name = "north"
    folder = "/var/lib/flower-v6"     # the station's memory: keep it
    key = "/etc/flower-v6/north"      # from `flower-v6 keys --lane north`
    central = "/etc/flower-v6/central.pub"
    flower-env = "/opt/flower"        # the virtual environment that has Flower
    supernodes = "warm"               # or "per-round"

    [policy]
    apps = ["5f70bf18a086007016e9…"]  # SHA-256 of the apps (FABs) that may run; or "any"
    modes = ["bridge", "direct"]
    run-config = ["learning-rate"]    # the keys that a run may override

    [node-config]
    partition-id = 0

    [databases.default]
    uri = "/data/patients.csv"
    type = "csv"

Paths are relative to the file, also that of a lane in a folder, or begin with `~`. Without
sealing (`sealed = false`) there are no keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from algorithm.flower import strict_toml
from algorithm.flower.node_config import STATION_NAME as NAME_IN_CONFIG
from algorithm.flower.node_config import check_values, flat, node_config, pairs
from algorithm.paths import expanded
from algorithm.station.policy import ALLOWED_FABS, ALLOWED_MODES, ALLOWED_RUN_CONFIG, Policy
from proxy.calls import DEFAULT_LIFETIME, Lifetime
from proxy.errors import UsageError, reason_of
from proxy.lanes.letters.keys import STATION_NAME
from proxy.lanes.urls import starting_at
from proxy.vantage6.container import Container, Database

ANY_APP = "any"
_TEXTS = ("lane", "name", "folder", "key", "central", "flower-env", "supernodes")
_TABLES = ("policy", "node-config", "databases")
_POLICY = {"apps": ALLOWED_FABS, "modes": ALLOWED_MODES, "run-config": ALLOWED_RUN_CONFIG}
_REQUIRED = ("lane", "name", "folder")


@dataclass(frozen=True)
class Settings:
    """What the file says.

    Attributes
    ----------
    lane : str
        The lane's URL.
    name : str
        The station's name on it.
    folder : Path
        The job's folder.
    key, central : Path | None
        This end's private key and the central's public one; None where letters are not sealed.
    flower_env : Path | None
        The Flower environment; None for the bridge's own.
    warm : bool
        Whether a runtime is kept from message to message.
    policy : Policy
        What may run.
    node_config : str
        A SuperNode's `--node-config`, databases included.
    databases : Mapping[str, Database]
        By label.
    """

    lane: str
    name: str
    folder: Path
    key: Path | None
    central: Path | None
    flower_env: Path | None
    warm: bool
    policy: Policy
    node_config: str
    databases: Mapping[str, Database]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises
        ------
        UsageError
            If it cannot be read, or says what makes no sense.
        """
        try:
            given = strict_toml.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise UsageError(f"The file {path} cannot be read: {reason_of(error)}.") from error
        try:
            return cls._of(given, path.absolute().parent)
        except UsageError as error:
            raise UsageError(f"In {path}: {error.message}", error.hint) from error

    @classmethod
    def _of(cls, given: dict[str, Any], base: Path) -> Self:
        texts = _texts(given)
        _only(given, (*_TEXTS, *_TABLES, "sealed"), "the file")
        for name in _REQUIRED:
            if not texts.get(name):
                raise UsageError(f"{name} is missing.")
        if not STATION_NAME.fullmatch(texts["name"]):
            raise UsageError(
                f"A station cannot have the name {texts['name']!r}.",
                "Give it one of 1 to 64 letters, digits, hyphens and underscores.",
            )
        sealed = given.get("sealed", True)
        if not isinstance(sealed, bool):
            raise UsageError("sealed has to be true or false.")
        for name in ("key", "central"):
            if sealed and not texts.get(name):
                raise UsageError(
                    f"{name} is missing: letters are sealed.",
                    "`flower-v6 keys --lane` makes keys; `sealed = false` does without them.",
                )
            if not sealed and name in texts:
                raise UsageError(f"{name} cannot be given with sealed = false.")
        lifetime = texts.get("supernodes", DEFAULT_LIFETIME)
        if lifetime not in list(Lifetime):
            raise UsageError(f"supernodes has to be one of: {', '.join(Lifetime)}.")
        databases = _databases(_table(given, "databases"), base)
        config = {NAME_IN_CONFIG: texts["name"], **flat(_table(given, "node-config"))}
        check_values(config, "node config")
        folder = base / expanded(texts["folder"])
        container = Container(folder, folder, folder, databases)
        paths = {
            name: base / expanded(texts[name])
            for name in ("key", "central", "flower-env")
            if name in texts
        }
        return cls(
            starting_at(base, texts["lane"]),
            texts["name"],
            folder,
            paths.get("key"),
            paths.get("central"),
            paths.get("flower-env"),
            lifetime == Lifetime.WARM,
            _policy(_table(given, "policy")),
            node_config(pairs(config), container),
            databases,
        )


def _policy(given: dict[str, Any]) -> Policy:
    _only(given, _POLICY, "[policy]")
    if "apps" not in given:
        raise UsageError(
            "[policy] does not say which apps may run.",
            f'Give apps = ["SHA-256 of a FAB", ...], or apps = "{ANY_APP}" for whatever the central'
            " sends.",
        )
    if given["apps"] == [] or (given["apps"] != ANY_APP and not isinstance(given["apps"], list)):
        raise UsageError(f'apps has to be a list of SHA-256, or "{ANY_APP}".')
    variables = {}
    for key, variable in _POLICY.items():
        values = given.get(key)
        if values is None or (key == "apps" and values == ANY_APP):
            continue
        if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
            raise UsageError(f"{key} in [policy] has to be a list of texts.")
        for value in values:
            # Names are joined by commas: nothing is left of an empty one, and no app means any.
            if not value.strip() or "," in value:
                raise UsageError(
                    f"{key} in [policy] has {value!r}: a value is not empty and has no comma."
                )
        variables[variable] = ",".join(values)
    named = {variable: f"{key} in [policy]" for key, variable in _POLICY.items()}
    return Policy.from_environment(variables, named)


def _databases(given: dict[str, Any], base: Path) -> dict[str, Database]:
    databases = {}
    for label, database in given.items():
        if not isinstance(database, dict):
            raise UsageError(f"databases.{label} has to be a table with uri and type.")
        _only(database, ("uri", "type"), f"databases.{label}")
        texts = _texts(database, ("uri", "type"))
        if not texts.get("uri") or not texts.get("type"):
            raise UsageError(f"databases.{label} needs a uri and a type.")
        uri = texts["uri"]
        place = uri if "://" in uri else str(base / expanded(uri))
        databases[label] = Database(place, texts["type"])
    return databases


def _table(given: dict[str, Any], name: str) -> dict[str, Any]:
    table = given.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{name} has to be a table: [{name}].")
    return table


def _texts(given: Mapping[str, Any], names: Iterable[str] = _TEXTS) -> dict[str, str]:
    texts = {}
    for name in names:
        if name in given:
            if not isinstance(given[name], str) or "\0" in given[name]:
                raise UsageError(f"{name} has to be a text.")
            texts[name] = given[name]
    return texts


def _only(given: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in given:
        if name not in names:
            raise UsageError(
                f"{name!r} means nothing in {where}.", f"There are: {', '.join(names)}."
            )
