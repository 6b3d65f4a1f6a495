"""What a release of vantage6 changes is found in its source."""

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from algorithm.compat.vantage6.contract import GENERATIONS, VANTAGE6_4, VANTAGE6_5, contract_of
from algorithm.compat.vantage6.examine import PlatformVerdict, decode, encode, lines
from algorithm.compat.vantage6.published import Published, from_wheels
from algorithm.compat.vantage6.static import check
from proxy.errors import Vantage6Error

RESOURCE = """
def setup(api, api_base, services):
    path = f"{api_base}/{module_name}"
    api.add_resource(Runs, path, methods=("GET",))
    api.add_resource(Run, path + "/<int:id>", methods=("GET", "PATCH"))
    api.add_resource(Results, api_base + "/result", methods=("GET",))

def get(args):
    return args["task_id"]
"""
MODEL = """
class Run(Base):
    status = Column(Text)
    result = Column(Text)
    organization = relationship("Organization")
"""
OUTPUT = """
class RunSchema(HATEOASModelSchema):
    class Meta:
        model = db.Run
        exclude = ("result",)
    node = fields.Function(serialize=lambda obj: 1)

class LongRunSchema(RunSchema):
    task = fields.Nested("TaskSchema")
"""
INPUT = """
class _NameSchema(Schema):
    name = fields.String(required=True)

class TaskInputSchema(_NameSchema):
    image = fields.String(required=True)
"""
ENUM = """
class RunStatus(StrEnumBase):
    PENDING = "pending"
    COMPLETED = "completed"
"""
NAMES = 'class ContainerEnvNames:\n    INPUT_FILE = "INPUT_FILE"\n    PLACE = "not a name"\n'
MODULES = {
    "vantage6/hq/resource/run.py": RESOURCE,
    "vantage6/hq/model/run.py": MODEL,
    "vantage6/hq/resource/common/output_schema.py": OUTPUT,
    "vantage6/hq/resource/common/input_schema.py": INPUT,
    "vantage6/common/enum.py": ENUM,
    "vantage6/common/globals.py": NAMES,
}
CONTRACT = replace(
    VANTAGE6_5,
    routes=frozenset({"GET run", "GET run/<>", "GET result"}),
    answers={"RunSchema": ("id", "status", "node"), "LongRunSchema": ("status", "task")},
    questions={"TaskInputSchema": ("name", "image")},
    statuses={"pending": "not ended", "completed": "ended well"},
    words={
        "vantage6/common/globals.py": ("INPUT_FILE",),
        "vantage6/hq/resource/run.py": ("task_id",),
    },
)


def changed(**modules: tuple[str, str]) -> Published:
    """Return the release with some modules changed: what is replaced, and by what."""
    sources = dict(MODULES)
    for name, (old, new) in modules.items():
        (path,) = (each for each in sources if each.endswith(f"{name.replace('__', '/')}.py"))
        assert old in sources[path]
        sources[path] = sources[path].replace(old, new)
    return Published("5.9.9", sources)


def test_a_release_that_has_all_changes_nothing() -> None:
    assert check(Published("5.9.9", MODULES), CONTRACT, Published("5.9.8", MODULES)) == []


@pytest.mark.parametrize(
    ("module", "old", "new", "reason"),
    [
        ("resource__run", "/<int:id>", "/one/<int:id>", "GET run/<> is not served"),
        ("resource__run", '("GET", "PATCH")', '("PATCH",)', "GET run/<> is not served"),
        ("resource__run", 'args["task_id"]', 'args["task"]', "does not mention task_id"),
        ("model__run", "status =", "state =", "answers of RunSchema have no status"),
        ("output_schema", '("result",)', '("status",)', "answers of LongRunSchema have no status"),
        ("output_schema", "node = ", "nodes = ", "answers of RunSchema have no node"),
        ("input_schema", "name = ", "title = ", "TaskInputSchema takes no name"),
        ("common__enum", '"completed"', '"done"', "no run is 'completed' (ended well) any more"),
        ("globals", '"INPUT_FILE"', '"INPUT"', "does not mention INPUT_FILE"),
    ],
)
def test_what_is_gone_breaks_the_bridge(module: str, old: str, new: str, reason: str) -> None:
    found = check(changed(**{module: (old, new)}), CONTRACT, None)
    assert any(each.breaks and reason in each.what for each in found)


@pytest.mark.parametrize(
    ("module", "old", "new", "news"),
    [
        ("resource__run", '("GET", "PATCH")', '("GET", "PUT")', "new route: PUT run/<>"),
        ("resource__run", '("GET", "PATCH")', '("GET",)', "route gone: PATCH run/<>"),
        ("model__run", "    result =", "    size = Column(Text)\n    result =", "RunSchema: size"),
        ("input_schema", "image =", "cores = fields.Int()\n    image =", "TaskInputSchema: cores"),
        ("globals", '"not a name"', '"GPU_FILE"', "new name in the environment: GPU_FILE"),
        ("common__enum", '"pending"\n', '"pending"\n    OLD = "stale"\n', "a run may be 'stale'"),
    ],
)
def test_what_is_new_is_told_and_breaks_nothing(module: str, old: str, new: str, news: str) -> None:
    release = changed(**{module: (old, new)})
    found = check(release, CONTRACT, Published("5.9.8", MODULES))
    assert not any(each.breaks for each in found)
    assert any(news in each.what for each in found)


def test_a_release_is_of_one_generation() -> None:
    assert contract_of("4.15.2") is VANTAGE6_4
    assert contract_of("5.0.0") is VANTAGE6_5
    for release in ("4.12.2", "6.0.0", "newest"):
        with pytest.raises(Vantage6Error, match=f"this is {release}"):
            contract_of(release)
    for generation in GENERATIONS:
        assert all(contract_of(each) is generation for each in generation.tried)


def test_wheels_are_read_together(tmp_path: Path) -> None:
    wheels = [tmp_path / f"{number}.whl" for number in range(2)]
    for number, wheel in enumerate(wheels):
        with ZipFile(wheel, "w") as archive:
            archive.writestr(f"vantage6/part{number}.py", "x = 'here'")
            archive.writestr("other/part.py", "")
    assert set(from_wheels("5.9.9", wheels).modules) == {"vantage6/part0.py", "vantage6/part1.py"}


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, content: bytes) -> None:
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(content)
    with pytest.raises(Vantage6Error, match=r"a\.whl cannot be read"):
        from_wheels("5.9.9", [wheel])


def test_a_wheel_of_something_else_is_refused(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("other/part.py", "")
    with pytest.raises(Vantage6Error, match="no part of vantage6"):
        from_wheels("5.9.9", [tmp_path / "a.whl"])


def test_a_verdict_is_told_to_people_and_machines() -> None:
    changes = check(changed(globals=('"INPUT_FILE"', '"INPUT"')), CONTRACT, None)
    verdict = PlatformVerdict("5.9.9", changes)
    row, reason = lines(verdict)
    assert row.split() == ["5.9.9", "broken"]
    assert reason.startswith("    BREAKS: vantage6/common/globals.py does not mention INPUT_FILE")
    assert decode(encode([verdict])) == [verdict]
    assert [PlatformVerdict("5", tried=tried).status for tried in (True, False)] == [
        "works",
        "fits",
    ]
