"""Whether the bridge can be used with a release of vantage6, from what it publishes."""

from collections.abc import Iterable, Iterator, Mapping

from algorithm.compat.vantage6.contract import Contract
from algorithm.compat.vantage6.published import Published
from algorithm.compat.wheel.static import Change


def check(published: Published, contract: Contract, before: Published | None) -> list[Change]:
    """Compare a release with what the bridge relies on.

    Parameters
    ----------
    published : Published
        The release.
    contract : Contract
        What the bridge relies on in releases of its generation.
    before : Published | None
        The release before it, of the same generation, for what it changed; None if there is none.
    """
    changes = [*_missing(published, contract), *_statuses(published, contract)]
    if before is not None:
        changes += _news(published, before, contract)
    return changes


def _missing(published: Published, contract: Contract) -> Iterator[Change]:
    for route in sorted(contract.routes - published.routes(contract.server)):
        yield Change(True, f"{route} is not served, and the bridge calls it")
    answers = published.answers(contract.server)
    for schema, members in contract.answers.items():
        for name in _absent(members, answers.get(schema, set())):
            yield Change(True, f"answers of {schema} have no {name}, which the bridge reads")
    questions = published.questions(contract.server)
    for schema, members in contract.questions.items():
        for name in _absent(members, questions.get(schema, set())):
            yield Change(True, f"{schema} takes no {name}, which the bridge sends")
    for path, words in contract.words.items():
        for word in _absent(words, published.words(path)):
            yield Change(True, f"{path} does not mention {word}, which the bridge relies on")


def _statuses(published: Published, contract: Contract) -> Iterator[Change]:
    there = published.enum(contract.status_enums)
    for name, meaning in contract.statuses.items():
        if name not in there:
            yield Change(True, f"no run is {name!r} ({meaning}) any more")
    for name in sorted(there - set(contract.statuses)):
        yield Change(False, f"a run may be {name!r}: the bridge takes that for a failure")


def _absent(wanted: Iterable[str], there: set[str]) -> list[str]:
    return [name for name in wanted if name not in there]


def _news(published: Published, before: Published, contract: Contract) -> Iterator[Change]:
    """Tell what came and went where the bridge looks."""
    server = contract.server
    used = {route.partition(" ")[2].partition("/")[0] for route in contract.routes}
    yield from _differ(
        "route",
        {route for route in before.routes(server) if _resource(route) in used},
        {route for route in published.routes(server) if _resource(route) in used},
    )
    for kind, old, new, known in (
        ("answers", before.answers(server), published.answers(server), contract.answers),
        ("questions", before.questions(server), published.questions(server), contract.questions),
    ):
        yield from _differing_members(kind, old, new, known)
    path = contract.environment
    yield from _differ("name in the environment", before.capitals(path), published.capitals(path))


def _differing_members(
    kind: str,
    old: Mapping[str, set[str]],
    new: Mapping[str, set[str]],
    known: Mapping[str, tuple[str, ...]],
) -> Iterator[Change]:
    for schema, members in known.items():
        was, now = (schemas.get(schema, set()) - set(members) for schemas in (old, new))
        yield from _differ(f"member of {kind} of {schema}", was, now)


def _resource(route: str) -> str:
    return route.partition(" ")[2].partition("/")[0]


def _differ(kind: str, old: set[str], new: set[str]) -> Iterator[Change]:
    for name in sorted(new - old):
        yield Change(False, f"new {kind}: {name}")
    for name in sorted(old - new):
        yield Change(False, f"{kind} gone: {name}")
