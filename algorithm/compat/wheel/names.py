"""Whether a release has what the direct mode uses of its Python API; read, not imported."""

import ast
from collections.abc import Iterator, Mapping

from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.fleet_api import read_messages


def missing(published: Distribution, names: Mapping[str, str]) -> list[str]:
    """Return which names a release does not have.

    Parameters
    ----------
    published : Distribution
        The release.
    names : Mapping[str, str]
        "module:name" by role (`proxy.fleet.releases.names_of`).

    Raises
    ------
    FlowerError
        If a generated module of the release is in a form that is not known here.
    """
    messages = read_messages(published.modules)
    lacking = []
    for name in names.values():
        module, _, attribute = name.partition(":")
        path = module.replace(".", "/")
        sources = [
            published.modules[candidate]
            for candidate in (f"{path}.py", f"{path}/__init__.py")
            if candidate in published.modules
        ]
        if module.startswith("flwr.proto."):
            there = f".flwr.proto.{attribute}" in messages
        else:
            there = any(attribute in _defined(source) for source in sources)
        if not (sources and there):
            lacking.append(name)
    return lacking


def _defined(source: str) -> set[str]:
    """Return what a module's source defines or imports at its top level, also if lazily."""
    tree = ast.parse(source)
    defined = set(_names(tree))
    if "__getattr__" in defined:
        defined |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    return defined


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
