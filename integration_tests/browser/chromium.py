"""A page in Chromium, as a reader has it, and what there is to complain about."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHECKERS = Path(__file__).parents[2] / "build/browser/node_modules"
_AXE = CHECKERS / "axe-core/axe.min.js"
_VALIDATOR = CHECKERS / "vnu-jar/build/dist/vnu.jar"
_OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true })"
_OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
_RUN_AXE = (
    "axe.run().then(found => found.violations.map(each => each.id + ' ' + each.nodes[0].html))"
)


def require_browser() -> None:
    """Skip what needs a browser where there is none; in CI that is a failure."""
    missing = [name for name in ("chromium", "java") if shutil.which(name) is None]
    missing += [str(path) for path in (_AXE, _VALIDATOR) if not path.exists()]
    if missing:
        hint = f"pages cannot be checked without {', '.join(missing)}: `apt-get install chromium"
        hint += " default-jre-headless` and `make build/browser/installed` bring them"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(hint)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as playwright:
        # Tests may run as root, whom Chromium's sandbox refuses.
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Reader:
    """Opens pages from files, with every detail unfolded.

    Attributes
    ----------
    requests : list[str]
        All that a page asked for, itself included.
    complaints : list[str]
        Dialogs, and what a page wrote to the browser's console.
    """

    browser: Browser
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @contextmanager
    def reading(
        self, path: Path, width: int, scheme: str = "light", media: str = "screen"
    ) -> Iterator[Page]:
        """Open a page in a window of some width."""
        # axe-core is a script, and our pages allow none.
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, bypass_csp=True
        )
        page = context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.emulate_media(
            color_scheme="dark" if scheme == "dark" else "light",
            media="print" if media == "print" else "screen",
        )
        page.goto(path.as_uri())
        page.evaluate(_OPEN_ALL)
        try:
            yield page
        finally:
            context.close()


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate(_OVERFLOW))


def inaccessible(page: Page) -> Sequence[str]:
    """Return which rules of axe-core a page breaks, with an element for each."""
    page.evaluate(_AXE.read_text())
    broken: list[str] = page.evaluate(_RUN_AXE)
    return broken


def invalid(pages: Mapping[str, Path]) -> str:
    """Return what the W3C's validator says of pages; nothing if all are valid."""
    command = ["java", "-jar", str(_VALIDATOR), *map(str, pages.values())]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr
