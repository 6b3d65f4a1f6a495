"""What a release's functions and its Grid take is compared with what the direct mode knows."""

import pytest

from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.signatures import changed_signatures
from proxy.fleet.releases import names_of

GRID = """
class GRID(Grid):
    def _runtime_client(self) -> object: ...
    def _try_push_messages(self, run_id: int, messages: Iterable[Message]) -> list[str]: ...
    def set_run(self, run: Run) -> None: ...
    def run(self) -> Run: ...
    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None): ...
    def get_node_ids(self): ...
    def get_nodes(self): ...
    def push_messages(self, messages): ...
    def pull_messages(self, message_ids): ...
    def send_and_receive(self, messages, *, timeout: float | None = None): ...
    def close(self): ...
"""
FAB = "def install_from_fab(fab_file: Path, install_dir=None, skip_prompt: bool = False): ...\n"


def published(release: str, grid: str = GRID, fab: str = FAB) -> Distribution:
    """Return a release that has a Grid, and one of the functions."""
    modules = {
        "flwr/superlink/grid/http_grid.py": grid.replace("GRID", "HttpGrid"),
        "flwr/cli/install.py": "from .installer import install_from_fab\n",
        "flwr/cli/installer.py": fab,
    }
    return Distribution(release, modules, {})


def changes(release: Distribution) -> list[tuple[bool, str]]:
    found = changed_signatures(release, names_of(release.release))
    return [(change.breaks, change.what.rpartition(":")[2]) for change in found]


def test_a_release_that_changed_nothing_has_no_changes() -> None:
    assert changes(published("1.42.0")) == []


@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ("skip_prompt: bool = False", "skip_prompt: bool = False, quiet=False", False),
        ("skip_prompt: bool = False", "skip_prompt: bool = False, *, quiet=False", False),
        ("skip_prompt: bool = False", "skip_prompt: bool = True", False),
        ("skip_prompt: bool = False", "skip_prompt: bool = False, *, quiet", True),
        ("skip_prompt: bool = False", "*, skip_prompt: bool = False", True),
        ("install_dir=None, skip_prompt: bool = False", "install_dir, skip_prompt", True),
        ("install_dir=None, ", "", True),
        (
            "install_dir=None, skip_prompt: bool = False",
            "skip_prompt=False, install_dir=None",
            True,
        ),
        ("fab_file", "fab_path", True),
    ],
)
def test_a_function_may_take_more_but_nothing_else(old: str, new: str, breaks: bool) -> None:
    ((found, what),) = changes(published("1.42.0", fab=FAB.replace(old, new)))
    assert found == breaks
    assert "install_from_fab took (fab_file, install_dir=None, skip_prompt=False)" in what


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "pull_messages(self, message_ids)",
            "pull_messages(self, reply_to=None)",
            "HttpGrid.pull_messages took (self, message_ids), and takes (self, reply_to=None)",
        ),
        (
            "push_messages(self, messages): ...\n    def pull",
            "push_messages(self, messages, more=None): ...\n    def pull",
            "HttpGrid.push_messages took (self, messages), and takes (self, messages, more=None)",
        ),
        ("def get_nodes", "def get_supernodes", "HttpGrid has no method get_nodes"),
        (
            "def close",
            "def reconnect(self): ...\n    def close",
            "HttpGrid has a method reconnect that the direct mode does not know",
        ),
    ],
)
def test_a_grid_has_to_be_as_it_is_known(old: str, new: str, reason: str) -> None:
    assert (True, reason) in changes(published("1.42.0", grid=GRID.replace(old, new)))


def test_the_grid_of_1_43_is_known() -> None:
    pull = "pull_messages(self, reply_to_message_ids=None, *, message_ids=None)"
    grid = GRID.replace("pull_messages(self, message_ids)", pull)
    assert changes(published("1.43.0", grid=grid)) == []
    ((breaks, what),) = changes(published("1.43.0"))
    assert breaks
    assert what.endswith("and takes (self, message_ids)")
