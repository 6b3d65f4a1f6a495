"""A vantage6 server in whose tasks Flower runs are feigned, and the commands of its user."""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from algorithm import cli
from algorithm.monitoring.outcome import Outcome
from proxy.vantage6.v4.testing import Asked, FakeServer, FakeTask, private_key

MODEL = bytes(range(256))


def outcome(files: Mapping[str, bytes] | None = None, **members: object) -> dict[str, Any]:
    """Return what a central function leaves."""
    contents = {"model.npz": MODEL} if files is None else files
    ended = Outcome("me/app 1.0", "1.41.0", "warm", ["Alpha", "Beta"], status="completed")
    return {
        **ended.members(),
        "metrics": [{"round": 1, "organization": "Alpha", "message_type": "train", "loss": 0.3}],
        **members,
        "files": {name: b64encode(data).decode() for name, data in contents.items()},
    }


def add_subtask(fake: FakeServer, central: FakeTask, name: str, organization: int) -> FakeTask:
    """Create a task as the carrier does."""
    image = central.asked.image
    return fake.create_task(
        Asked(name, image, central.asked.collaboration, organization, {}), central
    )


class User:
    """Somebody who runs `flower-v6` with their login in the environment.

    Parameters
    ----------
    fake : FakeServer
        The server.
    folder : Path
        Theirs.
    """

    def __init__(
        self,
        fake: FakeServer,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.fake = fake
        self.folder = folder
        self._environment = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("HOME", str(folder))
        self.is_told(server=fake.url, username="ada", password=fake.api.password)

    def is_told(self, **settings: str) -> None:
        """Change what is in the environment."""
        for name, value in settings.items():
            self._environment.setenv(f"FLOWER_V6_{name.upper()}", value)

    def has_key_of(self, organization: int) -> Path:
        """Use the private key of an organization."""
        path = self.folder / f"{organization}.pem"
        path.write_bytes(private_key(organization))
        self.is_told(organization_key=str(path))
        return path

    def sees(self, *arguments: str) -> str:
        """Run a command that goes well; returns what it shows."""
        code = cli.main(arguments)
        captured = self._capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    def fails(self, *arguments: str) -> str:
        """Run a command that does not; returns its error, which comes without the password."""
        code = cli.main(arguments)
        captured = self._capsys.readouterr()
        assert code == 1
        assert self.fake.api.password not in captured.out + captured.err
        return captured.err

    def report(self, output: Path) -> dict[str, Any]:
        """Return what is in run.json."""
        found: dict[str, Any] = json.loads((output / "run.json").read_text())
        return found
