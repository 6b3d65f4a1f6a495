"""Whether the bridge can speak a release, from what it publishes: what changed and broke."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto

from algorithm.compat.wheel.contract import Contract, arguments, flags, words
from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.fleet_api import FleetApi, form, is_message, is_repeated, read_fleet_api
from algorithm.compat.wheel.options import Options, options_of


@dataclass(frozen=True)
class Change:
    """How a release differs from what the bridge relies on, or from the release before.

    Attributes
    ----------
    breaks : bool
        Whether the bridge cannot work with it.
    what : str
        What changed, and why that breaks the bridge, or not.
    """

    breaks: bool
    what: str


def check(published: Distribution, contract: Contract, before: Distribution | None) -> list[Change]:
    """Compare a release with what the bridge relies on.

    Parameters
    ----------
    published : Distribution
        The release.
    contract : Contract
        What the bridge relies on in releases of its era.
    before : Distribution | None
        The release before it, for what it changed beyond that; None if there is none to compare.

    Raises
    ------
    FlowerError
        If a release does not describe its Fleet API in a form that is known here.
    """
    api = read_fleet_api(published.modules)
    compared: set[tuple[str, str]] = set()
    changes = [
        *_methods(api, contract, compared),
        *(
            Change(True, f"no header is named {name}, with which the bridge signs its calls")
            for name in contract.headers
            if not published.mentions(name)
        ),
        *(
            Change(True, f"nothing is served at {path}, where the bridge calls it")
            for path in contract.paths
            if not published.mentions_path(path)
        ),
        *(
            change
            for command in contract.commands
            for change in _command(command, options_of(published, *words(command)))
        ),
    ]
    if before is not None:
        used = {
            (theirs, field.number)
            for ours, theirs in compared
            for field in contract.messages[ours].field
        }
        changes += _news(api, read_fleet_api(before.modules), contract, used)
        changes += _new_flags(published, before, contract)
    return changes


def _methods(api: FleetApi, contract: Contract, compared: set[tuple[str, str]]) -> Iterator[Change]:
    """Compare the Fleet API's methods, and all messages in their calls."""
    for method, ours in contract.methods.items():
        if method not in api.methods:
            yield Change(True, f"method {method} is missing{_renamed(method, api, contract)}")
            continue
        for our_type, their_type in zip(ours, api.methods[method], strict=True):
            yield from _messages(our_type, their_type, api, contract, compared)


def _renamed(method: str, api: FleetApi, contract: Contract) -> str:
    """Say which unknown method could be the missing one."""
    unknown = [candidate for candidate in api.methods if candidate not in contract.methods]
    takes = contract.methods[method][0].rpartition(".")[2]
    alike = [candidate for candidate in unknown if api.methods[candidate][0].endswith(f".{takes}")]
    if alike:
        return f": it was renamed to {alike[0]}, which takes the same {takes}"
    return f"; unknown are {', '.join(unknown)}" if unknown else ""


def _messages(
    our_type: str,
    their_type: str,
    api: FleetApi,
    contract: Contract,
    compared: set[tuple[str, str]],
) -> Iterator[Change]:
    """Compare two messages, and those in their fields, by what matters on the wire.

    Types that were compared, ours and theirs, are noted.
    """
    if (our_type, their_type) in compared:
        return
    compared.add((our_type, their_type))
    ours, theirs = contract.messages[our_type], api.messages[their_type]
    numbers = {field.number: field for field in theirs.field}
    names = {field.name: field for field in theirs.field}
    for field in ours.field:
        name = f"{ours.name}.{field.name}"
        there = numbers.get(field.number)
        if there is None:
            if field.name in names:
                moved = f"from number {field.number} to {names[field.name].number}"
                yield Change(True, f"field {name} moved {moved}")
            elif name not in contract.dispensable:
                yield Change(True, f"field {name} = {field.number} ({form(field)}) is missing")
            continue
        if (field.type, is_repeated(field)) != (there.type, is_repeated(there)):
            if name not in contract.dispensable:
                yield Change(
                    True, f"field {name} = {field.number} is {form(there)}, not {form(field)}"
                )
            continue
        if is_message(field):
            yield from _messages(field.type_name, there.type_name, api, contract, compared)


def _command(command: tuple[str, ...], options: Options | None) -> Iterator[Change]:
    """Compare a command line with what the program takes."""
    name = " ".join(words(command))
    if options is None:
        yield Change(True, f"there is no command {name}")
        return
    if flags(command) and not options.flags:
        yield Change(False, f"{name} declares its options in a way that is not known here")
        return
    for flag in flags(command):
        if flag in options.refused:
            yield Change(True, f"{name} refuses {flag}, which the bridge gives it")
        elif flag not in options.flags:
            yield Change(True, f"{name} has no {flag}, which the bridge gives it")
    if options.arguments is not None and options.arguments < arguments(command):
        yield Change(
            True,
            f"{name} takes {options.arguments} arguments, the bridge gives it {arguments(command)}",
        )


def _news(
    api: FleetApi, before: FleetApi, contract: Contract, used: set[tuple[str, int]]
) -> Iterator[Change]:
    """Tell what is new in the Fleet API.

    Parameters
    ----------
    api, before : FleetApi
        The release's, and that of the release before.
    contract : Contract
        What the bridge relies on.
    used : set[tuple[str, int]]
        The fields that the bridge uses, by type and number.
    """
    for method in api.methods:
        if method not in before.methods and method not in contract.methods:
            yield Change(False, f"new method {method}: the bridge does not answer it")
    methods = set(contract.methods)
    old, new = before.reachable(methods), api.reachable(methods)
    for kind, message in new.items():
        if kind in old:
            numbers = {number for used_kind, number in used if used_kind == kind}
            yield from _new_fields(old[kind], message, numbers)


def _new_fields(old: DescriptorProto, new: DescriptorProto, used: set[int]) -> Iterator[Change]:
    old_fields = {field.number: field for field in old.field}
    new_fields = {field.number: field for field in new.field}
    for number, field in new_fields.items():
        name = f"{new.name}.{field.name} = {number} ({form(field)})"
        there = old_fields.get(number)
        if there is None:
            use = "the bridge uses it" if number in used else "it is carried along"
            yield Change(False, f"new field {name}: {use}")
        elif there.name != field.name:
            yield Change(False, f"field {name} was named {there.name}")
        elif form(there) != form(field):
            yield Change(False, f"field {name} was {form(there)}")
    for number, field in old_fields.items():
        if number not in new_fields:
            yield Change(False, f"field {new.name}.{field.name} = {number} is gone")


def _new_flags(
    published: Distribution, before: Distribution, contract: Contract
) -> Iterator[Change]:
    """Tell which options came and went of the programs that the bridge starts."""
    for command in contract.commands:
        new, old = (
            options_of(distribution, *words(command)) for distribution in (published, before)
        )
        if new is not None and old is not None:
            name = " ".join(words(command))
            for flag in sorted(new.flags - old.flags):
                yield Change(False, f"{name}: new option {flag}")
            for flag in sorted(old.flags - new.flags - set(flags(command))):
                yield Change(False, f"{name}: option {flag} is gone; the bridge does not give it")
