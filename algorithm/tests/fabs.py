"""Apps as FABs, for tests."""

import zipfile
from collections.abc import Mapping
from io import BytesIO

from algorithm.flower.manifest import Manifest

PYPROJECT = """
[project]
name = "app"
version = "1.0"

[tool.flwr.app]
publisher = "me"

[tool.flwr.app.config]
rounds = 3
optimizer.name = "sgd"
optimizer.rate = 0.1
"""


def make_fab(
    files: Mapping[str, str] | None = None, compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Make the FAB of an app; `files` are added, or replace its own."""
    contents = {"pyproject.toml": PYPROJECT, "app/client.py": "train()", "app/server.py": "run()"}
    target = BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in {**contents, **(files or {})}.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return target.getvalue()


FAB = make_fab()
MANIFEST = Manifest.of_fab(FAB, flwr="1.41.0")
