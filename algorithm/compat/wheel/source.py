"""Functions and classes in a release's source, found by name; nothing is imported."""

import ast
from collections.abc import Mapping

Function = ast.FunctionDef
Definition = ast.FunctionDef | ast.ClassDef


class Code:
    """Finds functions by name, through imports."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._trees: dict[str, ast.Module] = {}
        self._names: dict[str, dict[str, Function | tuple[str, str]]] = {}

    def tree(self, module: str) -> ast.Module:
        """Return a module; an empty one if it is not of this release."""
        if module not in self._trees:
            self._trees[module] = ast.parse(self._sources.get(self._path(module), ""))
        return self._trees[module]

    def function(self, module: str, name: str) -> tuple[str, Function] | None:
        """Return where a function is defined that a module knows by a name, and the function."""
        if module not in self._names:
            self._names[module] = self._known(module)
        known = self._names[module].get(name)
        if isinstance(known, tuple):
            return self.function(*known)
        return (module, known) if known else None

    def definition(self, module: str, name: str) -> Definition | None:
        """Return the function or class that a module knows by a name; None if there is none."""
        tree = self.tree(module)
        own = [
            statement
            for statement in tree.body
            if isinstance(statement, Definition) and statement.name == name
        ]
        if own:
            return own[-1]  # before it there may be overloads
        imports = [child for child in ast.walk(tree) if isinstance(child, ast.ImportFrom)]
        for node in imports:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return self.definition(self._imported(module, node), alias.name)
        return None

    def _known(self, module: str) -> dict[str, Function | tuple[str, str]]:
        """Return what a module defines, and what it imports: from where, and its name there."""
        known: dict[str, Function | tuple[str, str]] = {}
        for node in ast.walk(self.tree(module)):
            if isinstance(node, ast.ImportFrom):
                source = self._imported(module, node)
                known |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
        for node in ast.walk(self.tree(module)):
            if isinstance(node, Function):
                known[node.name] = node
        return known

    def _path(self, module: str) -> str:
        path = module.replace(".", "/")
        package = f"{path}/__init__.py"
        return package if package in self._sources else f"{path}.py"

    def _imported(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = module.split(".")
        if not self._path(module).endswith("__init__.py"):
            package.pop()
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, node.module] if node.module else package)
