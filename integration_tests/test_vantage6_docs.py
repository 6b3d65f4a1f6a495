"""What docs/vantage6.md tells researchers to type does what it says, in a real vantage6.

The commands stand there as they are run here: in its blocks of `sh`, section by section.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from algorithm.flower.environment import Flower
from algorithm.monitoring.entries import MARK, read_entries
from integration_tests.harness import finish, superlink, wait_until
from integration_tests.reader import Reader, shown_by
from integration_tests.vantage6 import containers
from integration_tests.vantage6.command import RUN_SECONDS, login
from integration_tests.vantage6.researcher import Researcher
from integration_tests.vantage6.stack import Collaboration, Stack

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SUBMITTED = re.compile(r"`flower-v6 watch (\d+)`")


def commands(page: str, section: str) -> list[str]:
    """Return the commands in a section of a page, block by block."""
    _, found, rest = (ROOT / page).read_text().partition(f"# {section}\n")
    blocks: list[str] = _BLOCK.findall(re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0])
    assert found, f"{page} has no section {section!r}"
    assert blocks, f"{page} has no commands in its section {section!r}"
    return blocks


def type_all(reader: Reader, blocks: list[str]) -> str:
    """Type each of the blocks, one after the other; returns what is shown."""
    all_shown = ""
    for block in blocks:
        with reader.typing(block) as shell:
            shown = shown_by(shell, RUN_SECONDS)
        if submitted := _SUBMITTED.search(shown):
            reader.variables["TASK"] = submitted[1]
        all_shown += shown
    return all_shown


@pytest.fixture(scope="module")
def reader(
    vantage6: Stack, plain: Collaboration, tmp_path_factory: pytest.TempPathFactory
) -> Reader:
    """A researcher who has built the image."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "integration_tests").symlink_to(ROOT / "integration_tests")
    image = containers.image_name(vantage6.session, "docs")
    reader = Reader(folder, {**login(plain), "IMAGE": image})
    assert image in type_all(reader, commands("docs/vantage6.md", "Build the image"))
    return reader


def test_the_researchers_commands_bring_a_trained_model_home(
    reader: Reader, plain: Collaboration
) -> None:
    shown = type_all(reader, commands("docs/vantage6.md", "Run it"))
    assert "train 1: 3 of 3 stations answered" in shown
    assert MARK not in shown
    for folder in (reader.folder / "results", reader.folder / "results-again"):
        with np.load(folder / "digits-csv-model.npz") as model:
            assert model["weights"].any()
        accuracy = json.loads((folder / "digits-csv-result.json").read_text())["accuracy"]
        assert accuracy["3"] > 0.8
        report = json.loads((folder / "run.json").read_text())
        assert report["status"] == "completed"
    # The server's log carries what happened, for those who watch.
    log = Researcher(plain).run(int(reader.variables["TASK"]))["log"].splitlines()
    entries = list(read_entries(line.removeprefix(MARK) for line in log if line.startswith(MARK)))
    assert (entries[0].event, entries[-1].event) == ("started", "ended")
    pushed = [(entry.station, entry.message_id) for entry in entries if entry.event == "pushed"]
    assert pushed == [(each["station"], each["message_id"]) for each in report["messages"]]
    metrics = {entry.message_id: entry.metrics for entry in entries if entry.metrics}
    assert metrics == {
        each["message_id"]: each["metrics"] for each in report["messages"] if each["metrics"]
    }


def test_the_command_for_a_superlink_outside_makes_organizations_its_supernodes(
    reader: Reader, flower: Flower, tmp_path: Path
) -> None:
    (attach,) = commands("docs/vantage6.md", "Next to a SuperLink of your own")
    with superlink(flower, tmp_path / "superlink") as federation:
        reader.variables["SUPERLINK"] = federation.address
        with reader.typing(attach) as attaching:
            wait_until(
                lambda: not attaching.running or "SuperNodes of" in attaching.log.read_text(),
                "the organizations are SuperNodes",
            )
            assert attaching.running, attaching.log_tail(40)
            model, result = tmp_path / "model.npz", tmp_path / "result.json"
            config = {"num_server_rounds": 1, "model": model, "result": result}
            submission = federation.submit("digits_csv", **config)
            finish(submission, RUN_SECONDS)
            assert model.exists(), submission.log_tail(40)


def test_the_readme_has_the_same_commands() -> None:
    page = commands("docs/vantage6.md", "Build the image") + commands("docs/vantage6.md", "Run it")
    assert "".join(commands("README.md", "In vantage6")) == "".join(page)
