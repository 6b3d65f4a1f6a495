"""What a central says of a run, and the app that comes with it, before a station's policy."""

from collections.abc import Iterator

from algorithm.station.policy import Policy, Refused
from algorithm.tests.fabs import FAB, MANIFEST, make_fab
from integration_tests.fuzz.harness import joined, pieces
from protos import fleet_pb2 as fleet
from proxy.errors import FleetError
from proxy.fleet.messages import parse as parse_message

ERRORS = (Refused, FleetError)
_POLICIES = (
    Policy(),
    Policy(MANIFEST),
    Policy(MANIFEST, frozenset(), frozenset({"rounds"})),
    Policy(None, frozenset({"0" * 64})),
)


def parse(data: bytes) -> None:
    """Ask policies about a run with the image's app, and with another one."""
    run, fab = pieces(data, 2)
    said = parse_message(fleet.GetRunResponse, run).run
    refusals = []
    for policy in _POLICIES:
        for app in (FAB, fab):
            try:
                policy.check(said, app)
            except Refused as error:
                refusals.append(error)
                continue
            if policy.manifest is not None:
                assert (said.fab_id, said.fab_version) == ("me/app", "1.0")
                assert set(said.override_config) <= set(MANIFEST.run_config_keys)
    assert all(len(error.message) < 20_000 for error in refusals)
    if refusals:
        raise refusals[0]


def seeds() -> Iterator[bytes]:
    """Make runs."""
    encoded = _run("rounds")
    yield joined(encoded, FAB)
    yield joined(encoded, make_fab({"app/more.py": "evil()"}))
    evil = fleet.Run(fab_id="/", fab_version="/../../evil")
    yield joined(fleet.GetRunResponse(run=evil).SerializeToString() + encoded, FAB)


def bombs() -> Iterator[bytes]:
    """Many keys, a long one, many files that differ."""
    yield joined(_run(*map(str, range(4000))), FAB)
    long = fleet.Run(fab_id="x" * 60_000)
    yield joined(fleet.GetRunResponse(run=long).SerializeToString(), FAB)
    yield joined(_run(), make_fab({f"{'n' * 200}{number}": "" for number in range(5000)}))


def _run(*keys: str) -> bytes:
    """Return what a central says of a run of the image's app that overrides some keys."""
    run = fleet.Run(run_id=7, fab_id="me/app", fab_version="1.0", fab_hash=MANIFEST.fab_sha256)
    for key in keys:
        run.override_config[key].SetInParent()
    return fleet.GetRunResponse(run=run).SerializeToString()
