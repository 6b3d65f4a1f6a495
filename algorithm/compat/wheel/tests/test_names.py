"""Whether a release has a name is found out by reading it, wherever the name comes from."""

import pytest

from algorithm.compat.wheel.distribution import Distribution
from algorithm.compat.wheel.names import missing


def published(source: str) -> Distribution:
    return Distribution("1.99.0", {"flwr/app/__init__.py": source, "flwr/serde.py": ""}, {})


@pytest.mark.parametrize(
    "source",
    [
        "class Message: ...",
        "def Message(): ...",
        "Message = 1",
        "Message: int = 1",
        "from .message import Message",
        "from .message import Mail as Message",
        'def __getattr__(name): ...\n_LAZY = {"Message": "flwr.message"}',
    ],
)
def test_a_name_is_there_however_a_module_gets_it(source: str) -> None:
    assert missing(published(source), {"Message": "flwr.app:Message"}) == []


@pytest.mark.parametrize(
    "source",
    ["", "def other():\n    Message = 1", 'about = "Message"', "from .message import Message as M"],
)
def test_a_name_that_only_seems_to_be_there_is_missing(source: str) -> None:
    names = {"Message": "flwr.app:Message"}
    assert missing(published(source), names) == ["flwr.app:Message"]


def test_a_module_that_is_not_there_lacks_everything() -> None:
    names = {"Message": "flwr.mail:Message", "ProtoRun": "flwr.proto.run_pb2:Run"}
    assert missing(published(""), names) == list(names.values())
