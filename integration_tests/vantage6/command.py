"""The command flower-v6 as a researcher uses it with vantage6, of either generation."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from integration_tests.harness import COMMAND, PATIENCE_SECONDS, finish, start
from integration_tests.vantage6 import stack as stack_4
from integration_tests.vantage6.page import shown
from integration_tests.vantage6_5 import stack as stack_5
from proxy.system.process import Process

Collaboration = stack_4.Collaboration | stack_5.Collaboration

# Each message takes some seconds, most of them vantage6's, and tests run on busy machines. It is
# less than pytest's timeout, which ends a test without showing the run's log.
RUN_SECONDS = 700.0


def login(collaboration: Collaboration) -> dict[str, str]:
    """Return the variables that say who the researcher is, and in which collaboration."""
    said = {**collaboration.login, "COLLABORATION": collaboration.name}
    if collaboration.private_key is not None:
        said["ORGANIZATION_KEY"] = str(collaboration.private_key)
    return {f"FLOWER_V6_{name}": value for name, value in said.items()}


def submit(collaboration: Collaboration, image: str, output: Path, *options: str) -> Process:
    """Run `flower-v6 submit` until the outcome is in the output folder; returns how it ended.

    An outcome is one that vantage6's page can show.
    """
    submission = start(
        *("submit", image, "--output", str(output), *options),
        log=output.with_name(f"{output.name}.log"),
        environment=login(collaboration),
    )
    finish(submission, RUN_SECONDS)
    if (report := output / "run.json").exists():
        shown(json.loads(report.read_text()))
    return submission


def flower_v6(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with a login in the environment."""
    return subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
