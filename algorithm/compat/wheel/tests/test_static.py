"""What a release publishes is compared with what the bridge relies on."""

from collections.abc import Callable

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from algorithm.compat.wheel.contract import contract_of
from algorithm.compat.wheel.static import check
from algorithm.compat.wheel.tests.made_up import MadeUp, changed
from proxy.fleet.releases import ERAS, Era

NEWEST = contract_of(ERAS[-1])


def field(made_up: MadeUp, name: str) -> FieldDescriptorProto:
    """Return a field by its full name, to change it."""
    message, _, name = name.partition(".")
    return next(each for each in made_up.message(message).field if each.name == name)


def drop_field(made_up: MadeUp, name: str) -> None:
    made_up.message(name.partition(".")[0]).field.remove(field(made_up, name))


def add_field(made_up: MadeUp, message: str) -> None:
    made_up.message(message).field.add(
        name="colour",
        number=99,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )


def rename_method(made_up: MadeUp, old: str, new: str) -> None:
    next(each for each in made_up.api.service[0].method if each.name == old).name = new


@pytest.mark.parametrize("era", ERAS, ids=lambda era: f"from {era.first}")
def test_a_release_that_changed_nothing_fits(era: Era) -> None:
    contract = contract_of(era)
    release = MadeUp(contract).published()
    assert check(release, contract, before=release) == []


def test_an_added_field_is_compatible_and_told() -> None:
    release = changed(NEWEST, lambda made_up: add_field(made_up, "Run"))
    (change,) = check(release, NEWEST, before=MadeUp(NEWEST).published())
    assert not change.breaks
    assert change.what == "new field Run.colour = 99 (string): it is carried along"


def test_an_added_field_that_the_bridge_waited_for_is_told_as_such() -> None:
    older = changed(NEWEST, lambda made_up: drop_field(made_up, "PushObjectRequest.session_id"))
    (change,) = check(MadeUp(NEWEST).published(), NEWEST, before=older)
    assert not change.breaks
    assert change.what == "new field PushObjectRequest.session_id = 5 (string): the bridge uses it"


def test_an_added_method_is_told_because_the_bridge_would_not_answer_it() -> None:
    release = changed(NEWEST, lambda made_up: made_up.api.service[0].method.add(name="GetWeather"))
    (change,) = check(release, NEWEST, before=MadeUp(NEWEST).published())
    assert not change.breaks
    assert change.what == "new method GetWeather: the bridge does not answer it"


def test_an_option_that_came_or_went_is_told_and_harms_nobody() -> None:
    older, newer = MadeUp(NEWEST), MadeUp(NEWEST)
    older.options["flower-supernode"].append("--blue")
    newer.options["flower-supernode"].append("--green")
    changes = check(newer.published(), NEWEST, before=older.published())
    assert [change.breaks for change in changes] == [False, False]
    assert [change.what for change in changes] == [
        "flower-supernode: new option --green",
        "flower-supernode: option --blue is gone; the bridge does not give it",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda made_up: rename_method(made_up, "PullMessages", "FetchMessages"),
            "method PullMessages is missing: it was renamed to FetchMessages, which takes the same"
            " PullMessagesRequest",
            id="a renamed method",
        ),
        pytest.param(
            lambda made_up: made_up.options["flower-supernode"].remove("--superlink"),
            "flower-supernode has no --superlink, which the bridge gives it",
            id="a removed flag",
        ),
        pytest.param(
            lambda made_up: made_up.options["flwr run"].remove("--stream"),
            "flwr run has no --stream, which the bridge gives it",
            id="a removed flag of flwr",
        ),
        pytest.param(
            lambda made_up: made_up.arguments.update({"flwr run": 1}),
            "flwr run takes 1 arguments, the bridge gives it 2",
            id="an argument less",
        ),
        pytest.param(
            lambda made_up: setattr(field(made_up, "Node.node_id"), "number", 7),
            "field Node.node_id moved from number 1 to 7",
            id="a moved field",
        ),
        pytest.param(
            lambda made_up: setattr(
                field(made_up, "Run.run_id"), "type", FieldDescriptorProto.TYPE_SINT64
            ),
            "field Run.run_id = 1 is sint64, not uint64",
            id="a changed type",
        ),
        pytest.param(
            lambda made_up: setattr(
                field(made_up, "Run.fab_hash"), "label", FieldDescriptorProto.LABEL_REPEATED
            ),
            "field Run.fab_hash = 5 is repeated string, not string",
            id="one that became many",
        ),
        pytest.param(
            lambda made_up: drop_field(made_up, "Metadata.ttl"),
            "field Metadata.ttl = 7 (double) is missing",
            id="a removed field",
        ),
        pytest.param(
            lambda made_up: made_up.texts.remove("/v1/fleet/pull-messages"),
            "nothing is served at /v1/fleet/pull-messages, where the bridge calls it",
            id="a moved path",
        ),
        pytest.param(
            lambda made_up: made_up.texts.remove("flwr-signature"),
            "no header is named flwr-signature, with which the bridge signs its calls",
            id="a renamed header",
        ),
    ],
)
def test_what_the_bridge_relies_on_breaks_it_when_it_is_gone(
    change: Callable[[MadeUp], object], reason: str
) -> None:
    (found,) = check(changed(NEWEST, change), NEWEST, before=None)
    assert found.breaks
    assert found.what == reason


def test_an_option_that_is_only_there_to_be_refused_breaks_the_bridge() -> None:
    release = MadeUp(NEWEST).published()
    path = "flwr/supernode/cli.py"
    refusing = release.modules[path].replace('"--superlink"', '"--superlink", type=_no_more')
    modules = {**release.modules, path: f"{refusing}\ndef _no_more(_): raise ValueError\n"}
    (change,) = check(type(release)("1.99.0", modules, release.programs), NEWEST, before=None)
    assert change.breaks
    assert change.what == "flower-supernode refuses --superlink, which the bridge gives it"


def test_a_path_in_two_parts_is_a_path() -> None:
    def split(made_up: MadeUp) -> None:
        made_up.texts.remove("/v1/fleet/pull-messages")
        made_up.texts += ["/v1/fleet", "/pull-messages"]

    assert check(changed(NEWEST, split), NEWEST, before=None) == []


def test_options_that_cannot_be_read_are_not_taken_for_removed() -> None:
    release = changed(NEWEST, lambda made_up: made_up.options["flower-supernode"].clear())
    (change,) = check(release, NEWEST, before=None)
    assert not change.breaks
    assert change.what == "flower-supernode declares its options in a way that is not known here"


def test_a_program_of_another_name_breaks_the_bridge() -> None:
    release = MadeUp(NEWEST).published()
    programs = {"flower-megalink": release.programs["flower-superlink"]}
    (change,) = (
        each
        for each in check(type(release)("1.99.0", release.modules, programs), NEWEST, before=None)
        if "superlink" in each.what
    )
    assert change.breaks
    assert change.what == "there is no command flower-superlink"


@pytest.mark.parametrize(
    "name", ["PushMessagesRequest.clientapp_runtime_list", "PushObjectRequest.session_id"]
)
def test_the_bridge_does_without_what_older_releases_do_not_have(name: str) -> None:
    release = changed(NEWEST, lambda made_up: drop_field(made_up, name))
    assert check(release, NEWEST, before=None) == []


def test_a_field_of_another_name_is_the_same_on_the_wire() -> None:
    release = changed(
        NEWEST, lambda made_up: setattr(field(made_up, "Run.fab_hash"), "name", "app_hash")
    )
    (change,) = check(release, NEWEST, before=MadeUp(NEWEST).published())
    assert not change.breaks
    assert change.what == "field Run.app_hash = 5 (string) was named fab_hash"
