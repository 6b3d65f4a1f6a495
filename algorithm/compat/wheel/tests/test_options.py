"""Options are found where Flower's releases declare them, and only there."""

from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.options import options_of


def published(program: str, start: str, **modules: str) -> Distribution:
    sources = {f"{name.replace('__', '/')}.py": source for name, source in modules.items()}
    return Distribution("1.99.0", sources, {program: start})


def test_options_are_followed_through_imports_and_helpers() -> None:
    release = Distribution(
        "1.99.0",
        {
            "flwr/cli/__init__.py": "from .start import flower_supernode\n",
            "flwr/cli/start.py": """
from flwr.common.args import add_shared
def flower_supernode():
    parser = argparse.ArgumentParser()
    parser.add_argument("--own")
    add_shared(parser)
""",
            "flwr/common/args.py": """
def add_shared(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--shared")
""",
        },
        {"flower-supernode": "flwr.cli:flower_supernode"},
    )
    options = options_of(release, "flower-supernode")
    assert options is not None
    assert options.flags == {"--own", "--shared"}


def test_options_of_another_program_in_the_same_module_do_not_count() -> None:
    source = """
def run_superlink():
    _superlink_parser().parse_args()
def run_client_app():
    argparse.ArgumentParser().add_argument("--of-the-client-app")
def _superlink_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--of-the-superlink")
    return parser
"""
    release = published("flower-superlink", "flwr.app:run_superlink", flwr__app=source)
    options = options_of(release, "flower-superlink")
    assert options is not None
    assert options.flags == {"--of-the-superlink"}


def test_a_command_is_found_by_the_name_it_was_given_or_that_of_its_function() -> None:
    source = """
def ls(limit: Annotated[int, typer.Option("--limit", "-l")] = 1, app: str = "") -> None: ...
def add_node(json: Annotated[bool, typer.Option("--json/--no-json")] = False) -> None: ...
app = typer.Typer()
nodes = typer.Typer()
app.command("list", hidden=True)(ls)
nodes.command()(add_node)
app.add_typer(nodes, name="nodes")
"""
    release = published("flwr", "flwr.app:app", flwr__app=source)
    listing = options_of(release, "flwr", "list")
    adding = options_of(release, "flwr", "nodes", "add-node")
    assert listing is not None
    assert adding is not None
    assert listing.flags == {"--limit", "-l"}
    assert adding.flags == {"--json", "--no-json"}
    assert options_of(release, "flwr", "ls") is None
    assert options_of(release, "flwr", "add-node") is None
    assert options_of(release, "flwr", "nobody", "add-node") is None
    assert options_of(release, "flower-supernode") is None


def test_an_option_without_a_name_is_named_for_its_parameter() -> None:
    source = """
def run(dry_run: Annotated[bool, typer.Option(help="…")] = False) -> None: ...
app.command()(run)
"""
    options = options_of(published("flwr", "flwr.app:app", flwr__app=source), "flwr", "run")
    assert options is not None
    assert options.flags == {"--dry-run"}
