"""The reports of real runs, in a real browser: whoever opens one can read it.

Three runs: the demo, one with failures, and one of fifty rounds.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from integration_tests.browser.chromium import (
    Reader,
    chromium,
    inaccessible,
    invalid,
    overflow,
    require_browser,
)
from integration_tests.harness import APPS, Federation, finish, flower_v6, run_config

ROOT = Path(__file__).parents[1]
RUNS = ("demo", "failures", "fifty-rounds")
PAGES = (*RUNS, "hostile", "comparison")
MOST_BYTES = 1_500_000
HOSTILE = "</title></style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def run_direct(app: str, output: Path, **config: object) -> None:
    """Run an app in direct mode."""
    options = ("--mode", "direct", "--output", str(output))
    config = {"result": output / "result", **config}
    ended = flower_v6("run", str(APPS / app), *options, "--run-config", run_config(**config))
    assert ended.returncode == 0, ended.stderr


def demo_results(folder: Path) -> Path:
    """Return what `make demo` left; without it the app is run here, which takes as long."""
    if (ROOT / "demo-results/run.json").exists():
        return ROOT / "demo-results"
    run_direct("digits", folder / "demo", model=folder / "demo-model.pt")
    return folder / "demo"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """What the runs left, by their names."""
    require_browser()
    folder = tmp_path_factory.mktemp("runs")
    found = {name: folder / name for name in RUNS} | {"demo": demo_results(folder)}
    failing = {"exit_partition": 0, "exit_round": 2, "raise_partition": 1, "raise_round": 3}
    run_direct("faults", found["failures"], **failing)
    run_direct("faults", found["fifty-rounds"], num_server_rounds=50)
    return found


@pytest.fixture(scope="module")
def pages(
    results: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """The reports, by the names of the runs."""
    folder = tmp_path_factory.mktemp("pages")
    hostile = json.loads((results["failures"] / "run.json").read_text())
    hostile |= {"app": HOSTILE, "status": "failed", "cause": HOSTILE * 9, "stations": [HOSTILE]}
    hostile["messages"] = [
        {**each, "station": HOSTILE, "message_type": HOSTILE, "metrics": {HOSTILE: number}}
        for number, each in enumerate(hostile["messages"])
    ]
    (folder / "hostile.json").write_text(json.dumps(hostile))
    made = {name: folder / f"{name}.html" for name in PAGES}
    asked = {name: [str(results[name])] for name in RUNS} | {
        "hostile": [str(folder / "hostile.json")],
        "comparison": ["--compare", *(str(results[name]) for name in RUNS)],
    }
    for name, arguments in asked.items():
        ended = flower_v6("report", *arguments, "--output", str(made[name]))
        assert ended.returncode == 0, ended.stderr
    return made


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """Somebody with a browser."""
    require_browser()
    with chromium() as browser:
        yield Reader(browser)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_a_desk_and_paper(
    name: str, pages: Mapping[str, Path], reader: Reader
) -> None:
    for width, media in ((400, "screen"), (1400, "screen"), (794, "print")):
        with reader.reading(pages[name], width, media=media) as page:
            assert overflow(page) <= 0, f"{width} pixels, {media}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_breaks_no_rule_of_accessibility(
    name: str, scheme: str, pages: Mapping[str, Path], reader: Reader
) -> None:
    with reader.reading(pages[name], 1000, scheme) as page:
        assert inaccessible(page) == []


def test_every_page_is_valid_html(pages: Mapping[str, Path]) -> None:
    assert invalid(pages) == ""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_but_itself(
    name: str, pages: Mapping[str, Path], reader: Reader
) -> None:
    asking = Reader(reader.browser)
    with asking.reading(pages[name], 1000):
        assert asking.requests == [pages[name].as_uri()]
        assert asking.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small(name: str, pages: Mapping[str, Path]) -> None:
    assert pages[name].stat().st_size < MOST_BYTES


def test_what_a_reader_looks_for_is_in_sight(pages: Mapping[str, Path], reader: Reader) -> None:
    with reader.reading(pages["demo"], 1400) as page:
        for heading in ("What was learned", "Where the time went", "Who waited for whom"):
            assert page.get_by_role("heading", name=heading).is_visible()
        accuracy = page.get_by_role("img", name="accuracy (evaluate) by round")
        box = accuracy.bounding_box()
        assert box is not None
        assert box["width"] > 300
        # The server's accuracy is measured before the first round, too.
        table = page.get_by_role("region", name="Table: Numbers of accuracy (evaluate)")
        assert table.get_by_role("row").count() == 1 + 4


def test_what_failed_is_named_with_its_reason(pages: Mapping[str, Path], reader: Reader) -> None:
    with reader.reading(pages["failures"], 1400) as page:
        text = page.locator("section", has=page.get_by_role("heading", name="What failed"))
        shown = text.inner_text()
    for part in ("code 8", "station-1 (1); train 2", "station-2 (1); train 3", "on purpose"):
        assert part in shown


@pytest.mark.thorough
def test_flower_by_itself_is_compared_and_has_learned_the_same(
    native: Federation, results: Mapping[str, Path], reader: Reader, tmp_path: Path
) -> None:
    run = native.submit("digits", result=tmp_path / "result.npz", model=tmp_path / "model.pt")
    finish(run)
    page = tmp_path / "comparison.html"
    compared = ("report", "--compare", str(results["demo"]), str(run.log), "--output", str(page))
    ended = flower_v6(*compared)
    assert ended.returncode == 0, ended.stderr
    with reader.reading(page, 1400) as shown:
        table = shown.get_by_role("region", name="Table: Numbers of accuracy (evaluate)")
        for row in table.get_by_role("row").all()[1:]:
            bridged, natively = row.get_by_role("cell").all_inner_texts()
            assert bridged == natively
