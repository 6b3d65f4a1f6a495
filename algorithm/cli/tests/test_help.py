"""Each command's help: it fits a terminal, and names the options that there are, no others."""

import argparse
import re

import pytest

from algorithm.cli.main import parser

COLUMNS = 100
LOGIN = {
    "--server",
    "--username",
    "--password-file",
    "--mfa-code",
    "--organization-key",
    "--auth-server",
    "--auth-realm",
}
STATIONS = {"--stations", "--supernodes", "--node-config", "--deadline", "--tape", "--flower-env"}
LANES = {"--lane", "--lane-keys", "--unsealed"}
VANTAGE6 = {"--collaboration", "--organizations", "--database", "--session", "--dataframe"}
# The options of each command; a change of these is a change of what users rely on.
OPTIONS = {
    "run": {
        *("--run-config", "--mode", "--output", "--json", "--metrics"),
        *("--journal", "--resume", "--keep-replies"),
        *(STATIONS | LANES),
    },
    "attach": {
        *("--superlink", "--root-certificates", "--keys", "--vantage6"),
        *("--output", "--metrics", "--journal", "--keep-replies"),
        *(STATIONS | LANES | VANTAGE6 | LOGIN),
    },
    "station": {"--check"},
    "keys": {"--output", "--lane", "--show", "--flower-env"},
    "image": {"--tag", "--flwr", "--base-image", "--chart", "--store"},
    "submit": {
        *("--organization", "--run-config", "--mode", "--supernodes", "--deadline"),
        *("--idle-limit", "--detach", "--output", "--name", "--tidy"),
        *(VANTAGE6 | LOGIN),
    },
    "watch": {"--tidy", "--metrics", *LOGIN},
    "fetch": {"--output", *LOGIN},
    "kill": LOGIN,
    "delete": {"--running", *LOGIN},
    "report": {"--compare", "--output", "--crate"},
    "runs": set(),
    "record": {"--superlink", "--listen", "--about"},
    "replay": set(),
    "compat": {
        "--all",
        "--newest",
        "--live",
        "--tapes",
        "--cache",
        "--flower-env",
        "--json",
        "--vantage6",
    },
}
# Options of other commands that a help mentions.
MENTIONED = {"keys": {"--stations"}}


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the commands' own parsers by their names."""
    (action,) = [each for each in parser()._actions if isinstance(each.choices, dict)]
    return dict(action.choices or {})


@pytest.fixture(autouse=True)
def _on_a_terminal_of_100_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def test_the_help_lists_every_command_with_what_it_does() -> None:
    text = parser().format_help()
    assert list(commands()) == list(OPTIONS)
    for name in OPTIONS:
        assert re.search(rf"^ +{name} +[a-z]", text, re.MULTILINE)
    assert all(len(line) <= COLUMNS for line in text.splitlines())


@pytest.mark.parametrize("name", OPTIONS)
def test_a_help_fits_the_terminal_and_names_the_options_that_there_are(name: str) -> None:
    text = commands()[name].format_help()
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    named = set(re.findall(r"--[a-z][a-z0-9-]+", text))
    assert named == OPTIONS[name] | MENTIONED.get(name, set()) | {"--help"}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_argument_is_explained_in_one_short_phrase(name: str) -> None:
    command = commands()[name]
    assert command.description
    for action in command._actions:
        assert action.help
        assert len(action.help) < 150
        assert not action.help.endswith(".")
        assert action.help[0].islower()
