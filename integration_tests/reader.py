"""A reader of a page: types its commands as they stand there, and looks for what it shows."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from integration_tests.harness import COMMAND, PATIENCE_SECONDS, finish
from proxy.system.process import Process

_BLOCK = r"^```{language}\n(.*?)^```$"


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's blocks of a language, in their order."""
    pattern = _BLOCK.format(language=language)
    return re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)


@dataclass
class Reader:
    """Types commands in a folder.

    Attributes
    ----------
    folder : Path
        Where.
    variables : dict[str, str]
        What their shell finds in its environment, besides the commands of this environment.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    typed: int = field(default=0)

    def starts(self, text: str) -> Process:
        """Have a shell run commands; the caller stops it."""
        self.typed += 1
        path = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
        return Process(
            ["env", "--chdir", str(self.folder), "sh", "-euc", text],
            {**os.environ, **self.variables, "PATH": path},
            self.folder / f"shell-{self.typed}.log",
        )

    @contextmanager
    def typing(self, text: str) -> Iterator[Process]:
        """Have a shell run commands, for a while."""
        shell = self.starts(text)
        try:
            yield shell
        finally:
            shell.stop()


def shown_by(shell: Process, timeout: float = 2 * PATIENCE_SECONDS) -> str:
    """Wait for the end of a shell whose commands all succeed; returns what it showed."""
    finish(shell, timeout)
    shown = shell.log.read_text()
    assert shell.exit_code == 0, shown
    return shown
