"""The options that a release's programs take: read from how they declare them.

`flower-superlink` and `flower-supernode` use argparse, `flwr` uses typer. Sources: flwr 1.15
(`flwr/server/app.py`, `flwr/client/supernode/app.py`) to 1.42 (`flwr/superlink/cli/`,
`flwr/supernode/cli/`); `flwr/cli/app.py` in all.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.source import Code, Function


@dataclass(frozen=True)
class Options:
    """What one program, or one command of `flwr`, takes.

    Attributes
    ----------
    flags : frozenset[str]
        The names of its options, for example "--insecure".
    refused : frozenset[str]
        Options that are declared only to be refused.
    arguments : int | None
        How many positional arguments it takes; None if that is not known.
    """

    flags: frozenset[str]
    refused: frozenset[str] = frozenset()
    arguments: int | None = None


def options_of(published: Distribution, *command: str) -> Options | None:
    """Return what a command takes; None if there is no such command.

    Parameters
    ----------
    published : Distribution
        The release.
    command : str
        A program; behind `flwr`, one of its commands, word by word.
    """
    program, *subcommands = command
    if program not in published.programs:
        return None
    module, _, name = published.programs[program].partition(":")
    code = Code(published.modules)
    if not subcommands:
        return _argparse_options(code, module, name)
    return _typer_options(code, module, name, subcommands)


def _argparse_options(code: Code, module: str, name: str) -> Options | None:
    """Collect what is added to parsers by a function and by those that it uses.

    These are functions of its own module, and others that take or return a parser: a module may
    hold the functions of several programs.
    """
    start = code.function(module, name)
    if start is None:
        return None
    flags: set[str] = set()
    refused: set[str] = set()
    seen: set[int] = set()
    todo = [start]
    while todo:
        module, function = todo.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        for call in _calls(function, "add_argument"):
            named = {flag for flag in _strings(call.args) if flag.startswith("--")}
            (refused if _refuses(code, module, call) else flags).update(named)
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        used = filter(None, (code.function(module, used_name) for used_name in names))
        todo += [
            helper for helper in used if helper[0] == start[0] or _is_about_a_parser(helper[1])
        ]
    return Options(frozenset(flags), frozenset(refused))


def _is_about_a_parser(function: Function) -> bool:
    """Whether a function takes or returns a parser."""
    annotations = [argument.annotation for argument in function.args.args] + [function.returns]
    return any(
        "ArgumentParser" in ast.unparse(annotation) for annotation in annotations if annotation
    )


def _refuses(code: Code, module: str, call: ast.Call) -> bool:
    """Whether an argument's type does nothing but raise, as for options that are no more."""
    for keyword in call.keywords:
        if keyword.arg == "type" and isinstance(keyword.value, ast.Name):
            converter = code.function(module, keyword.value.id)
            return converter is not None and all(
                isinstance(step, ast.Raise)
                for step in converter[1].body
                if not (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
            )
    return False


def _typer_options(code: Code, module: str, app: str, command: list[str]) -> Options | None:
    """Go from the app along the command's words to the function that has its signature."""
    *groups, last = command
    for group in groups:
        named = {name: sub for sub, name in _groups(code.tree(module), app)}
        if group not in named:
            return None
        app = named[group]
    for name, function in _commands(code.tree(module), app):
        definition = code.function(module, function)
        if definition and last == (name or definition[1].name.replace("_", "-")):
            return _signature_options(definition[1])
    return None


def _groups(tree: ast.Module, app: str) -> Iterator[tuple[str, str]]:
    """Yield an app's groups: `app.add_typer(supernode_app, name="supernode")`."""
    for call in _calls(tree, "add_typer"):
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner)),
                args=[ast.Name(id=group)],
                keywords=[ast.keyword(arg="name", value=ast.Constant(value=str(name)))],
            ) if owner == app:
                yield group, name


def _commands(tree: ast.Module, app: str) -> Iterator[tuple[str, str]]:
    """Yield an app's commands: `app.command("list")(ls)` is ("list", "ls")."""
    for node in tree.body:
        match node:
            case ast.Expr(
                ast.Call(
                    func=ast.Call(
                        func=ast.Attribute(value=ast.Name(id=owner), attr="command"), args=names
                    ),
                    args=[ast.Name(id=function)],
                )
            ) if owner == app:
                yield next(_strings(names), ""), function


def _signature_options(function: Function) -> Options:
    """Read `name: Annotated[str, typer.Option("--name")] = ""`."""
    flags, arguments = set(), 0
    for parameter in function.args.args:
        if parameter.annotation is None:
            continue
        arguments += len(list(_calls(parameter.annotation, "Argument")))
        for call in _calls(parameter.annotation, "Option"):
            named = [flag for text in _strings(call.args) for flag in text.split("/")]
            flags.update(named or ["--" + parameter.arg.replace("_", "-")])
    return Options(frozenset(flags), arguments=arguments)


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Yield the calls of anything that has a name: `parser.NAME(…)` or `NAME(…)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)) if called == name:
                yield node


def _strings(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
