"""What the direct mode calls of a release's Python API, and what a Grid's methods take.

Read from the source, not imported.
"""

import ast
from collections.abc import Mapping
from typing import NamedTuple

from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.source import Code, Definition
from algorithm.compat.wheel.static import Change
from proxy.fleet.releases import Version, version_of

_GRID = "RemoteGrid"
# Parameters by role (`proxy.fleet.releases.names_of`), and of the Grid's methods: what
# `algorithm/flower/scripts/` call, and what they implement. A row says only what changed with
# it; None: it was not there any more.
_PARAMETERS: tuple[tuple[Version, dict[str, str | None]], ...] = (
    (
        (1, 20),
        {
            "ArrayRecord": "self, *args, numpy_ndarrays=None, torch_state_dict=None,"
            " array_dict=None, keep_input=True",
            "Context": "self, run_id, node_id, node_config, state, run_config",
            "Error": "self, code, reason=None",
            "Message": "self, *args, dst_node_id=None, message_type=None, content=None, error=None,"
            " ttl=None, group_id=None, reply_to=None, metadata=None",
            "RecordDict": "self, records=None, *, parameters_records=None, metrics_records=None,"
            " configs_records=None",
            "RemoteGrid._stub": "self",
            "RemoteGrid._try_push_messages": "self, run_id, messages",
            "RemoteGrid.close": "self",
            "RemoteGrid.create_message": "self, content, message_type, dst_node_id, group_id,"
            " ttl=None",
            "RemoteGrid.get_node_ids": "self",
            "RemoteGrid.pull_messages": "self, message_ids",
            "RemoteGrid.push_messages": "self, messages",
            "RemoteGrid.run": "self",
            "RemoteGrid.send_and_receive": "self, messages, *, timeout=None",
            "RemoteGrid.set_run": "self, run_id",
            "array_record_from_proto": "record_proto",
            "array_to_proto": "array",
            "context_from_proto": "context_proto",
            "context_to_proto": "context",
            "get_fused_config_from_dir": "project_dir, override_config",
            "get_load_client_app_fn": "default_app_ref, app_path, multi_app, flwr_dir=None",
            "get_project_config": "project_dir",
            "install_from_fab": "fab_file, flwr_dir, skip_prompt=False",
            "message_from_proto": "message_proto",
            "message_to_proto": "message",
            "no_object_id_recompute": "",
            "parse_config_args": "config, flatten=True",
            "recorddict_to_proto": "recorddict",
            "remove_content_from_message": "message",
            "run_from_proto": "run_proto",
            "run_serverapp": "grid, context, server_app_dir, server_app_attr=None,"
            " loaded_server_app=None",
            "user_config_to_proto": "user_config",
            "validate_message": "message, is_reply_message",
        },
    ),
    (
        (1, 27),
        {
            "get_load_client_app_fn": "default_app_ref, app_path, multi_app",
            "install_from_fab": "fab_file, install_dir=None, skip_prompt=False",
        },
    ),
    ((1, 28), {"RemoteGrid.set_run": "self, run"}),
    (
        (1, 31),
        {
            "Context": "self, run_id, node_id, node_config, state, run_config, series_id=0",
            "Message": "self, *args, dst_node_id=None, message_type=None, content=None, error=None,"
            " ttl=None, group_id=None, dst_task_id=None, reply_to=None, metadata=None",
        },
    ),
    ((1, 35), {"RemoteGrid._stub": None, "RemoteGrid._runtime_client": "self"}),
    ((1, 38), {"RemoteGrid.get_nodes": "self"}),
    (
        (1, 43),
        {
            "RemoteGrid.pull_messages": "self, reply_to_message_ids=None, *, message_ids=None",
            "validate_message": None,
            "validate_message_metadata": "metadata",
            "warn_deprecated_feature": "name",
        },
    ),
)


def changed_signatures(published: Distribution, names: Mapping[str, str]) -> list[Change]:
    """Compare what a release's functions and its Grid's methods take with what is known of them.

    A function may take more, if nobody has to say it. Of the Grid, which is for apps, everything
    has to be as it is known. What is not there at all is left out:
    `algorithm.compat.wheel.names` says so.

    Parameters
    ----------
    published : Distribution
        The release.
    names : Mapping[str, str]
        "module:name" by role (`proxy.fleet.releases.names_of`).
    """
    known: dict[str, str | None] = {}
    for first, parameters in _PARAMETERS:
        if version_of(published.release) >= first:
            known |= parameters
    code = Code(published.modules)
    changes = []
    for thing, before in known.items():
        role, _, method = thing.partition(".")
        if before is None or (node := code.definition(*names[role].split(":"))) is None:
            continue
        definition = _method(node, method or "__init__")
        if definition is None:
            if method:
                changes.append(Change(True, f"{names[role]} has no method {method}"))
            continue
        now = _parameters(definition)
        if now != before:
            name = f"{names[role]}.{method}" if method else names[role]
            breaks = bool(method) or not _takes_as_much(now, before)
            changes.append(Change(breaks, f"{name} took ({before}), and takes ({now})"))
    grid = code.definition(*names[_GRID].split(":"))
    return changes + [
        Change(True, f"{names[_GRID]} has a method {name} that the direct mode does not know")
        for name in _public_methods(grid)
        if known.get(f"{_GRID}.{name}") is None
    ]


def _method(definition: Definition, name: str) -> ast.FunctionDef | None:
    """Return a class's method, the last of that name: others are overloads. Or the function."""
    if isinstance(definition, ast.FunctionDef):
        return definition
    methods = [statement for statement in definition.body if isinstance(statement, ast.FunctionDef)]
    return next((method for method in reversed(methods) if method.name == name), None)


def _public_methods(grid: Definition | None) -> list[str]:
    body = grid.body if isinstance(grid, ast.ClassDef) else []
    names = [statement.name for statement in body if isinstance(statement, ast.FunctionDef)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def _parameters(function: ast.FunctionDef) -> str:
    """Return a function's parameters as in source, without what types they are of."""
    arguments = ast.parse(f"def f({ast.unparse(function.args)}): ...").body[0]
    for node in ast.walk(arguments):
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(arguments.args) if isinstance(arguments, ast.FunctionDef) else ""


class _Parameters(NamedTuple):
    """What a function takes: names by their place, names alone, and which may be left out."""

    placed: list[str]
    named: set[str]
    optional: set[str]
    rest: set[str]


def _read(text: str) -> _Parameters:
    (function,) = ast.parse(f"def f({text}): ...").body
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - it was just written
    given = function.args
    placed = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    named = {argument.arg for argument in given.kwonlyargs}
    optional = set(placed[len(placed) - len(given.defaults) :])
    optional |= {
        argument.arg
        for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        if default is not None
    }
    rest = {f"*{argument.arg}" for argument in (given.vararg, given.kwarg) if argument}
    return _Parameters(placed, named, optional, rest)


def _takes_as_much(now: str, before: str) -> bool:
    """Whether every call that a function took, it still takes, and means the same by it."""
    new, old = _read(now), _read(before)
    added = {*new.placed[len(old.placed) :], *(new.named - old.named)}
    return (
        new.placed[: len(old.placed)] == old.placed
        and new.named >= old.named
        and new.optional >= old.optional | added
        and new.rest >= old.rest
    )
