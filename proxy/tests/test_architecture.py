"""Arrows between folders run one way, without a loop, and none leads to Flower."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A Flower app that is shipped as data: Flower runs it, no module of ours imports it.
APP = ROOT / "algorithm/compat/app"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("protos", "proxy", "algorithm")
    for path in sorted((ROOT / package).rglob("*.py"))
    if APP not in path.parents
}
OURS = {name: path for name, path in MODULES.items() if ".tests" not in name}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the full names of all that a module imports, wherever in it.

    A text that is the name of one of our modules counts: `importlib` takes such.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and "." in str(node.value) and node.value in OURS:
            names.append(node.value)
    return tuple(names)


def importers(of: str, among: str) -> list[str]:
    """Return the modules below `among` that import `of`, or something below it."""
    return [
        name
        for name, path in OURS.items()
        if f"{name}.".startswith(f"{among}.")
        and any(f"{each}.".startswith(f"{of}.") for each in imports(path))
    ]


def test_the_modules_are_found() -> None:
    assert {
        "protos",
        "proxy",
        "proxy.central.delivery",
        "proxy.carriers.local",
        "algorithm.cli",
    } <= set(OURS)
    assert "proxy.central.delivery" in importers("proxy.bundle", among="proxy")


def test_no_module_imports_flower() -> None:
    assert not [
        (name, each)
        for name, path in MODULES.items()
        if "flwr" in path.read_text()
        for each in imports(path)
        if each.split(".")[0] == "flwr"
    ]


# About a dozen: nobody takes in more at a glance.
MOST_MODULES = 13

# The folders that each folder may use, besides those below `protos` and the modules that lie in
# `proxy` and `algorithm` themselves. A new arrow is a decision: it is written down here.
ARROWS = {
    "proxy": {
        *("proxy.carriers", "proxy.central", "proxy.fleet", "proxy.system", "proxy.transport"),
        *("proxy.vantage6", "proxy.vantage6.v4", "proxy.vantage6.v5"),
    },
    "proxy.fleet": set(),
    "proxy.system": set(),
    "proxy.transport": {"proxy.fleet", "proxy.system"},
    "proxy.vantage6": set(),
    "proxy.vantage6.v4": {"proxy.vantage6", "proxy.vantage6.testing"},
    "proxy.vantage6.v5": {"proxy.vantage6", "proxy.vantage6.testing"},
    "proxy.carriers": {"proxy.system", "proxy.vantage6", "proxy.vantage6.v4"},
    "proxy.lanes.letters": {"proxy.system"},
    "proxy.lanes.mailboxes": {"proxy.lanes.letters", "proxy.system"},
    "proxy.lanes": {
        *("proxy.carriers", "proxy.lanes.letters", "proxy.lanes.mailboxes", "proxy.system"),
    },
    "proxy.central": {"proxy.carriers", "proxy.fleet", "proxy.system", "proxy.transport"},
    "proxy.journal": {"proxy.central", "proxy.fleet", "proxy.system"},
    "proxy.tapes": {"proxy.system", "proxy.transport"},
    "proxy.tapes.replay": {
        *("proxy.carriers", "proxy.central", "proxy.fleet", "proxy.tapes", "proxy.transport"),
    },
    "algorithm.flower": set(),
    "algorithm.station": {"algorithm.flower"},
    "algorithm.station.resident": {"algorithm.flower", "algorithm.station"},
    "algorithm.monitoring": {"algorithm.flower"},
    "algorithm.runs": {"algorithm.flower", "algorithm.monitoring"},
    "algorithm.functions": {
        *("algorithm.flower", "algorithm.monitoring", "algorithm.runs", "algorithm.station"),
    },
    "algorithm.image": {"algorithm.flower", "algorithm.functions", "algorithm.station"},
    "algorithm.researcher": {
        *("algorithm.flower", "algorithm.functions", "algorithm.monitoring", "algorithm.runs"),
    },
    "algorithm.compat.wheel": {"algorithm.flower"},
    "algorithm.compat": {
        *("algorithm.compat.wheel", "algorithm.flower", "algorithm.monitoring", "algorithm.runs"),
    },
    "algorithm.compat.vantage6": {"algorithm.compat", "algorithm.compat.wheel"},
    "algorithm.report.reading": {"algorithm.monitoring"},
    "algorithm.report": {"algorithm.monitoring", "algorithm.report.reading"},
    "algorithm.cli.shared": {
        *("algorithm.compat", "algorithm.flower", "algorithm.monitoring", "algorithm.researcher"),
        "algorithm.runs",
    },
    "algorithm.cli.vantage6": {
        *("algorithm.cli.shared", "algorithm.flower", "algorithm.image", "algorithm.monitoring"),
        "algorithm.researcher",
    },
    "algorithm.cli": {
        *("algorithm.cli.shared", "algorithm.cli.vantage6", "algorithm.compat"),
        *("algorithm.compat.vantage6", "algorithm.flower", "algorithm.monitoring"),
        *("algorithm.report", "algorithm.report.reading", "algorithm.researcher", "algorithm.runs"),
        *("algorithm.station", "algorithm.station.resident"),
    },
    "algorithm": {"algorithm.functions"},
}


def folder_of(name: str) -> str:
    """Return the folder that a module lies in, as a package's name."""
    return str(OURS[name].relative_to(ROOT).parent).replace("/", ".")


def room_of(name: str) -> str:
    """Return a module's folder; a module of `proxy` or `algorithm` itself is a room of its own."""
    folder = folder_of(name)
    return name if folder in ("proxy", "algorithm") else folder


def used_by(name: str) -> set[str]:
    """Return our modules that a module imports."""
    found = set()
    for imported in imports(OURS[name]):
        parts = imported.split(".")
        heads = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        found |= {next((head for head in heads if head in OURS), name)} - {name}
    return found


def cycle_in(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return the names on a loop of arrows; none if there is no loop."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for other in arrows.get(name, ()):
                if loop := visit(other, [*path, name]):
                    return loop
        done.add(name)
        return []

    return next((loop for name in arrows if (loop := visit(name, []))), [])


def allowed_to(folder: str) -> set[str]:
    """Return the folders that a folder may use."""
    may = {folder, "protos", "proxy", *ARROWS.get(folder.removesuffix(".testing"), ())}
    if folder.startswith("algorithm"):
        may |= {each for each in ARROWS if each.startswith("proxy")} | {"algorithm"}
    if folder.endswith(".testing"):
        may.add(folder.removesuffix(".testing"))
    return may


def test_a_folder_uses_no_other_than_it_may() -> None:
    assert {
        (name, other)
        for name in OURS
        for other in used_by(name)
        if folder_of(other) not in allowed_to(folder_of(name))
    } == set()


def between_rooms() -> Mapping[str, set[str]]:
    """Return the rooms that each room uses."""
    arrows: dict[str, set[str]] = {}
    for name in OURS:
        used = {room_of(other) for other in used_by(name)}
        arrows.setdefault(room_of(name), set()).update(used - {room_of(name)})
    return arrows


def test_no_folder_is_a_drawer() -> None:
    sizes = Counter(folder_of(name) for name, path in OURS.items() if path.name != "__init__.py")
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_there_is_no_loop() -> None:
    assert cycle_in({name: used_by(name) for name in OURS}) == []
    assert cycle_in(between_rooms()) == []
    assert cycle_in({folder: used - {folder} for folder, used in ARROWS.items()}) == []


def test_a_loop_is_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize(
    "line",
    [
        "import proxy.central.delivery",
        "from proxy.central.delivery import Delivery",
        "from proxy.central import delivery",
        "def later():\n    from proxy.central import delivery",
    ],
)
def test_a_loop_that_is_made_in_this_tree_is_found(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery uses the drain, so the drain must not use the delivery."""
    looped = tmp_path / "drain.py"
    looped.write_text(f"{OURS['proxy.central.drain'].read_text()}\n{line}\n")
    monkeypatch.setitem(OURS, "proxy.central.drain", looped)
    loop = cycle_in({name: used_by(name) for name in OURS})
    assert {"proxy.central.drain", "proxy.central.delivery"} <= set(loop)


@pytest.mark.parametrize(
    ("name", "line", "loop"),
    [
        ("proxy.errors", "import proxy.central.steps", {"proxy.errors", "proxy.central"}),
        ("proxy.text", "NAME = 'proxy.vantage6.members'", {"proxy.text", "proxy.vantage6"}),
        ("proxy.fleet.wire", "import proxy.transport.sizes", {"proxy.fleet", "proxy.transport"}),
    ],
)
def test_a_loop_of_folders_is_found_where_modules_have_none(
    name: str, line: str, loop: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = tmp_path / "altered.py"
    altered.write_text(f"{OURS[name].read_text()}\n{line}\n")
    folder = folder_of(name)
    monkeypatch.setattr(
        f"{__name__}.folder_of", lambda each, real=folder_of: folder if each == name else real(each)
    )
    monkeypatch.setitem(OURS, name, altered)
    assert loop <= set(cycle_in(between_rooms()))


@pytest.mark.parametrize(
    ("of", "among"),
    [
        ("algorithm", "proxy"),
        ("algorithm", "protos"),
        ("proxy", "protos"),
        ("proxy.client", "proxy.carriers"),
        ("proxy.client", "proxy.transport"),
        ("proxy.testing", "algorithm"),
        ("proxy.vantage6.testing", "algorithm"),
        ("proxy.vantage6.v4.testing", "algorithm"),
        ("proxy.vantage6.v5.testing", "algorithm"),
    ],
)
def test_no_arrow_runs_backwards(of: str, among: str) -> None:
    assert importers(of, among) == []


def test_nothing_but_tests_uses_what_is_there_for_tests() -> None:
    for fakes in (
        "proxy.testing",
        "proxy.lanes.testing",
        "proxy.transport.testing",
        "proxy.vantage6.testing",
    ):
        users = {name for name in importers(fakes, among="proxy") if ".testing" not in name}
        assert users <= {"proxy.testing"}
    for fakes in ("proxy.vantage6.v4.testing", "proxy.vantage6.v5.testing"):
        assert not [name for name in importers(fakes, among="proxy") if not name.startswith(fakes)]


@pytest.mark.parametrize(
    "name",
    [
        "proxy.client",
        "proxy.instruction",
        "proxy.fleet.encoding",
        "proxy.fleet.messages",
        "proxy.fleet.releases",
        "proxy.fleet.wire",
    ],
)
def test_the_core_has_no_socket_clock_thread_or_process_in_it(name: str) -> None:
    shells = {"socket", "time", "threading", "subprocess", "requests", "http", "datetime"}
    assert {each.split(".")[0] for each in imports(OURS[name])}.isdisjoint(shells)


def asks_for_platform(tree: ast.AST) -> bool:
    """Whether code finds out by itself which platform it is on, in place of a row's capability."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            operands = {
                ast.unparse(each)
                for each in (node.left, *node.comparators)
                if isinstance(each, ast.Attribute | ast.Constant | ast.Name)
            }
            names = {each.rpartition(".")[2] for each in operands - {"sys.platform"}}
            if names & {"platform", "'TOKEN_FILE'", "'FUNCTION_ACTION'", "'CONTAINER_TOKEN'"}:
                return True
    return False


@pytest.mark.parametrize(
    "code",
    [
        "if container.platform is VANTAGE6_4: pass",
        "x = 'TOKEN_FILE' in os.environ",
        "x = 'FUNCTION_ACTION' in os.environ",
    ],
)
def test_a_question_for_the_platform_is_noticed(code: str) -> None:
    assert asks_for_platform(ast.parse(code))


def test_nothing_but_the_table_of_platforms_asks_which_one_it_is() -> None:
    """The contract alone looks whether there is a token to read."""
    asking = {name for name, path in OURS.items() if asks_for_platform(ast.parse(path.read_text()))}
    assert asking == {"proxy.vantage6.v4.container"}  # whether there is a token to read


@pytest.mark.parametrize(
    "name", ["proxy.system.keeper", "proxy.system.remover", "algorithm.station.job"]
)
def test_what_must_start_quickly_needs_the_standard_library_only(name: str) -> None:
    """Together with all of ours that it imports."""
    needed, seen = [name], {name}
    while needed:
        for each in imports(OURS[needed.pop()]):
            ours = next((m for m in (each, each.rpartition(".")[0]) if m in OURS), None)
            assert ours or each.split(".")[0] in sys.stdlib_module_names, each
            if ours and ours not in seen:
                seen.add(ours)
                needed.append(ours)


def test_a_courier_waits_for_no_import_that_only_others_need() -> None:
    code = "import sys, algorithm.__main__, algorithm.functions.courier; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    slow = {"requests", "grpc", "google.protobuf", "cryptography", "subprocess", "rich", "logging"}
    assert not slow & set(loaded.decode().split())
