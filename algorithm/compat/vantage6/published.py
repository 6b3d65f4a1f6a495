"""What a release of vantage6 publishes, read from its wheels' source without importing it."""

import ast
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from proxy.errors import Vantage6Error

_CAPITALS = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
# What every row of the database has, and so every answer.
_OF_ALL = frozenset({"id"})


@dataclass(frozen=True)
class Published:
    """One release.

    Attributes
    ----------
    release : str
        Its version, for example "5.0.3".
    modules : Mapping[str, str]
        The source of each of its modules, by path: "vantage6/hq/resource/run.py".
    """

    release: str
    modules: Mapping[str, str]

    def tree(self, path: str) -> ast.Module:
        """Return a module; an empty one if there is none of that path."""
        return ast.parse(self.modules.get(path, ""))

    def words(self, path: str) -> set[str]:
        """Return all strings that are written in a module, those in f-strings too."""
        return {
            node.value
            for node in ast.walk(self.tree(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }

    def capitals(self, path: str) -> set[str]:
        """Return the strings of a module that may be names of environment variables."""
        return {word for word in self.words(path) if _CAPITALS.fullmatch(word)}

    def enum(self, places: Iterable[str]) -> set[str]:
        """Return the values of the first enum that there is: "path:class"."""
        for place in places:
            path, _, name = place.partition(":")
            for node in self.tree(path).body:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    return {text for _, text in _texts(node)}
        return set()

    def routes(self, server: str) -> set[str]:
        """Return what a server's REST API serves, as in `Contract.routes`."""
        served = set()
        for path in self._below(f"{server}/resource"):
            own = f"/{PurePosixPath(path).stem}"
            for call in ast.walk(self.tree(path)):
                if isinstance(call, ast.Call) and _name(call.func) == "add_resource":
                    methods = next(
                        (keyword for keyword in call.keywords if keyword.arg == "methods"), None
                    )
                    for place in call.args[1:]:
                        route = re.sub("<[^>]*>", "<>", _route(place, own)).strip("/")
                        for method in _strings(methods):
                            served.add(f"{method} {route}")
        return served

    def answers(self, server: str) -> dict[str, set[str]]:
        """Return the members of what a server answers, by schema."""
        schemas = self._classes([f"{server}/resource/common/output_schema.py"])
        models = self._classes(self._below(f"{server}/model"))
        return {name: _members(name, schemas, models) for name in schemas}

    def questions(self, server: str) -> dict[str, set[str]]:
        """Return the members of what a server is sent, by schema."""
        schemas = self._classes([f"{server}/resource/common/input_schema.py"])
        return {name: _fields(name, schemas, "fields") for name in schemas}

    def _below(self, folder: str) -> list[str]:
        return [path for path in self.modules if path.startswith(f"{folder}/")]

    def _classes(self, paths: Iterable[str]) -> dict[str, ast.ClassDef]:
        return {
            node.name: node
            for path in paths
            for node in self.tree(path).body
            if isinstance(node, ast.ClassDef)
        }


def from_wheels(release: str, wheels: Iterable[Path]) -> Published:
    """Read a release's wheels.

    Raises
    ------
    Vantage6Error
        If one is none of vantage6.
    """
    modules: dict[str, str] = {}
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                sources = {
                    name: archive.read(name).decode()
                    for name in archive.namelist()
                    if name.startswith("vantage6/") and name.endswith(".py")
                }
        except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise Vantage6Error(f"{wheel} cannot be read: {error}.") from error
        if not sources:
            raise Vantage6Error(f"{wheel} is no part of vantage6.")
        modules |= sources
    return Published(release, modules)


def _members(
    name: str, schemas: Mapping[str, ast.ClassDef], models: Mapping[str, ast.ClassDef]
) -> set[str]:
    """Return the members of an answer: the schema's fields, and its model's but some."""
    meta = next((nested for nested in _bodies(name, schemas) if nested.name == "Meta"), None)
    own = _fields(name, schemas, "fields")
    if meta is None:
        return own
    given = dict(_assigned(meta))
    model = _name(given.get("model"))
    of_model = _fields(model, models, "Column", "relationship") | _OF_ALL
    return (of_model - set(_strings(given.get("exclude")))) | own


def _bodies(name: str, classes: Mapping[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """Yield the classes in a class, and in those that it is made of."""
    if name in classes:
        yield from (
            statement for statement in classes[name].body if isinstance(statement, ast.ClassDef)
        )
        for base in classes[name].bases:
            yield from _bodies(_name(base), classes)


def _fields(name: str, classes: Mapping[str, ast.ClassDef], *makers: str) -> set[str]:
    """Return what a class, and those that it is made of, assign to calls of such functions."""
    if name not in classes:
        return set()
    own = {
        target
        for target, value in _assigned(classes[name])
        if isinstance(value, ast.Call) and _maker(value.func) in makers
    }
    return own.union(*(_fields(_name(base), classes, *makers) for base in classes[name].bases))


def _maker(function: ast.expr) -> str:
    """Return "fields" of `fields.String`, "Column" of `Column` and of `db.Column`."""
    if isinstance(function, ast.Attribute) and _name(function.value) == "fields":
        return "fields"
    return _name(function)


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value
        ):
            yield statement.target.id, statement.value


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for name, value in _assigned(node):
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield name, value.value


def _name(node: ast.expr | None) -> str:
    """Return the last part of a dotted name; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _strings(node: ast.AST | None) -> list[str]:
    if node is None:
        return []
    return [
        child.value
        for child in ast.walk(node)
        if isinstance(child, ast.Constant) and isinstance(child.value, str)
    ]


def _route(node: ast.expr, own: str) -> str:
    """Return a path below the API's: `path` is the module's own, `api_base` the API's."""
    if isinstance(node, ast.BinOp):
        return _route(node.left, own) + _route(node.right, own)
    if isinstance(node, ast.JoinedStr):
        return "".join(_route(part, own) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _route(node.value, own)
    if isinstance(node, ast.Constant):
        return str(node.value)
    return own if _name(node) == "path" else ""
