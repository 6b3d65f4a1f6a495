"""The server: says one thing after the other to the Grid, and writes down each answer.

What differs from run to run by its nature is written by its kind: ids by their order of appearance,
times as what they are.
"""

import inspect
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from conversation.flower import (
    ConfigRecord,
    Context,
    Error,
    Grid,
    Message,
    RecordDict,
    ServerApp,
)

app = ServerApp()

METHODS = (
    *("close", "create_message", "get_node_ids", "get_nodes", "pull_messages", "push_messages"),
    *("send_and_receive", "set_run"),
)
# Nobody has it.
UNKNOWN_NODE = 77
UNKNOWN_ID = "0" * 64
PATIENCE_SECONDS = 300.0


class Transcript:
    """What was said and answered."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self._names: dict[object, str] = {}

    def say(self, what: str, call: Callable[[], Any]) -> Any:
        """Call the Grid, and write down what it returns or raises."""
        print("conversation:", what, flush=True)
        result = None
        try:
            result = call()
            if isinstance(result, Iterator):
                result = list(result)
            self.answers[what] = self.written(result)
        except Exception as error:  # an answer, too
            # What a transport makes of a SuperLink's error is not the Grid's.
            kind = type(error)
            wrong_call = kind in (AttributeError, TypeError)
            self.answers[what] = f"raises {kind.__name__ if wrong_call else 'an error'}"
        print("conversation:", self.answers[what], flush=True)
        return result

    def name(self, kind: str, value: object) -> str:
        """Return what stands for an id."""
        if not value:
            return repr(value)
        return self._names.setdefault((kind, value), f"{kind} {len(self._names)}")

    def written(self, value: Any) -> Any:
        """Return a result as it is written down."""
        if isinstance(value, Message):
            return self.message(value)
        if isinstance(value, str | int | float | bool | dict | None):
            return value
        return [self.written(each) for each in value]

    def message(self, message: Message) -> dict[str, Any]:
        """Return what a message is and says."""
        about = message.metadata
        written: dict[str, Any] = {
            "run": self.name("run", about.run_id),
            "message": "an id" if about.message_id else "none",
            "from": self.node(about.src_node_id),
            "to": self.node(about.dst_node_id),
            "reply to": self.name("message", about.reply_to_message_id),
            "group": about.group_id,
            "type": about.message_type,
            "ttl": "positive" if about.ttl > 0 else about.ttl,
            "created": "now" if abs(time.time() - about.created_at) < 3600 else about.created_at,
            "delivered": bool(about.delivered_at),
        }
        if message.has_error():
            return {**written, "error": message.error.code}
        said = {key: dict(record) for key, record in message.content.items()}
        return {**written, "said": said}

    def node(self, node_id: int | None) -> str:
        """Return what stands for a node's id."""
        return str(node_id) if node_id in (None, 0, 1, UNKNOWN_NODE) else self.name("node", node_id)


def asking(number: int) -> RecordDict:
    """Make what a message says."""
    return RecordDict({"asked": ConfigRecord({"number": number})})


def by_question(replies: Iterable[Message]) -> list[Message]:
    """Return replies in an order that does not depend on who was first."""
    return sorted(replies, key=lambda reply: reply.metadata.reply_to_message_id)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Have the conversation."""
    warnings.simplefilter("ignore")
    script = Transcript()
    config = context.run_config
    stations = int(config["num-stations"])
    give_up = time.monotonic() + PATIENCE_SECONDS
    while len(list(grid.get_node_ids())) < stations:
        time.sleep(0.5)
        if time.monotonic() > give_up:
            raise RuntimeError(f"there are no {stations} nodes")
    first, second = sorted(grid.get_node_ids())
    script.node(first), script.node(second)

    about_the_grid(script, grid)
    about_nodes(script, grid)
    about_messages(script, grid, first)
    about_pushing(script, grid, first, second)
    about_pulling(script, grid, first, second)
    about_both(script, grid, first, second)
    about_expiry(script, grid, first)
    script.say("close", grid.close)
    script.say("after close", lambda: len(list(grid.get_node_ids())))

    text = json.dumps(script.answers, indent=1, default=str)
    Path(str(config["result"])).write_text(text + "\n")


def about_the_grid(script: Transcript, grid: Grid) -> None:
    """Ask what the Grid is."""

    def form(method: str) -> list[str]:
        parameters = inspect.signature(getattr(grid, method)).parameters.values()
        return [f"{each.kind.description} {each.name} = {each.default}" for each in parameters]

    script.say("is a Grid", lambda: isinstance(grid, Grid))
    script.say("public names", lambda: [each for each in dir(grid) if not each.startswith("_")])
    for method in METHODS:
        script.say(f"signature of {method}", lambda method=method: form(method))

    def run() -> dict[str, str]:
        about = vars(grid.run)
        plain = ("fab_id", "fab_version", "override_config")
        return {
            name: repr(value) if name in plain else type(value).__name__
            for name, value in sorted(about.items())
        }

    script.say("run", run)
    script.say("run has begun", lambda: grid.run.status.status in ("starting", "running"))
    script.say("run is a copy", lambda: grid.run is not grid.run)
    script.say("set_run anew", lambda: grid.set_run(grid.run))
    script.say("set_run with an id", lambda: grid.set_run(grid.run.run_id))
    script.say("set_run with a text", lambda: grid.set_run("run"))
    script.say("run cannot be set", lambda: setattr(grid, "run", None))
    script.say("run is still there", lambda: grid.run.run_id != 0)


def about_nodes(script: Transcript, grid: Grid) -> None:
    """Ask which nodes there are."""

    def fields(node: Any) -> dict[str, Any]:
        found = {}
        for field in node.DESCRIPTOR.fields:
            value = getattr(node, field.name)
            found[field.name] = value
            if field.name == "node_id":
                found[field.name] = script.node(value)
            elif field.name == "public_key":
                del found[field.name]  # of a connection, and there may be none
            elif value and field.name.endswith(("_at", "_until")):
                found[field.name] = type(value).__name__
        return found

    script.say("node ids", lambda: sorted(map(script.node, grid.get_node_ids())))
    script.say(
        "nodes",
        lambda: [fields(each) for each in sorted(grid.get_nodes(), key=lambda n: n.node_id)],
    )


def about_messages(script: Transcript, grid: Grid, node: int) -> None:
    """Make messages in all forms."""
    content = asking(1)
    forms: dict[str, Callable[[], Any]] = {
        "by position": lambda: Message(content, node, "query"),
        "by name": lambda: Message(
            content, dst_node_id=node, message_type="query", ttl=60.0, group_id="group"
        ),
        "of the Grid": lambda: grid.create_message(content, "query", node, "group"),
        "of the Grid with a ttl": lambda: grid.create_message(
            content, "query", node, "group", 60.0
        ),
        "of the Grid by name": lambda: grid.create_message(
            content=content, message_type="query", dst_node_id=node, group_id="group", ttl=60.0
        ),
        "of the Grid without a group": lambda: grid.create_message(content, "query", node),
        "of the Grid of another type": lambda: grid.create_message(content, "other", node, "1"),
        "without a type": lambda: Message(content, node),
        "with a ttl of 0": lambda: Message(content, node, "query", ttl=0),
        "with a negative ttl": lambda: Message(content, node, "query", ttl=-1.0),
        "an error": lambda: Message(Error(code=0, reason="none"), node, "query"),
    }
    for form, make in forms.items():
        script.say(f"a message {form}", make)


def about_pushing(script: Transcript, grid: Grid, first: int, second: int) -> None:
    """Push messages in all forms."""

    def push(messages: Any) -> list[str]:
        return [script.name("message", each) for each in grid.push_messages(messages)]

    def ask(number: int, node: int = first, **more: Any) -> Message:
        return Message(asking(number), node, "query", **more)

    script.say("push a list", lambda: push([ask(10), ask(10, second)]))
    script.say("push a tuple", lambda: push((ask(11), ask(11, second))))
    script.say("push a generator", lambda: push(ask(12, each) for each in (first, second)))
    script.say("push an empty list", lambda: push([]))
    script.say("push an empty generator", lambda: push(iter(())))
    script.say("push nothing", grid.push_messages)
    script.say("push None", lambda: push(None))
    script.say("push a message", lambda: push(ask(13)))
    script.say("push what is no message", lambda: push(["hello"]))
    script.say(
        "push by name",
        lambda: [script.name("message", each) for each in grid.push_messages(messages=[ask(14)])],
    )
    script.say("push to an unknown node", lambda: push([ask(15, UNKNOWN_NODE)]))
    script.say("push to some unknown", lambda: push([ask(16, UNKNOWN_NODE), ask(16)]))
    script.say("push to no node", lambda: push([ask(17, 0)]))
    same = ask(18)
    script.say("push the same twice", lambda: push([same, same]))
    script.say("push the same again", lambda: push([same]))
    script.say("what was pushed", lambda: same)
    replies = script.say(
        "pull what was pushed twice", lambda: awaited(grid, [same.metadata.message_id])
    )
    script.say("push the same after its reply", lambda: push([same]))
    again = [same.metadata.message_id]
    script.say("pull it anew", lambda: [each.has_error() for each in awaited(grid, again, 30.0)])
    if replies:
        script.say("push a reply", lambda: push([Message(asking(19), reply_to=replies[0])]))
    script.say("push one that expires at once", lambda: push([ask(20, ttl=1e-9)]))
    script.say("push one of the past", lambda: push([ask(20, ttl=-1.0)]))
    script.say("push with a group", lambda: push([ask(21, group_id="g")]))
    script.say(
        "push what says nothing", lambda: push([Message(RecordDict(), first, "query.raise")])
    )
    script.say("push to the SuperLink", lambda: push([ask(22, 1)]))
    # Each message is one to its node only when the one before is answered.
    for node in (first, second):
        awaited(grid, grid.push_messages([ask(23, node)]))


def awaited(
    grid: Grid, message_ids: Iterable[str], until: float = PATIENCE_SECONDS
) -> list[Message]:
    """Pull replies until there is one to each message, or time is up."""
    waiting, replies = set(message_ids), []
    give_up = time.monotonic() + until
    while waiting and time.monotonic() < give_up:
        got = list(grid.pull_messages(waiting))
        replies += got
        waiting -= {each.metadata.reply_to_message_id for each in got}
        time.sleep(0.5)
    return replies


def about_pulling(script: Transcript, grid: Grid, first: int, second: int) -> None:
    """Pull replies in all forms."""

    def pull(message_ids: Any) -> list[Message]:
        return by_question(grid.pull_messages(message_ids))

    def sent(number: int, *nodes: int) -> list[str]:
        messages = [Message(asking(number), node, "query") for node in nodes or (first,)]
        pushed = list(grid.push_messages(messages))
        for each in pushed:
            script.name("message", each)
        return pushed

    # Asked at once; each node answers one after the other, so when the last is answered, all are.
    both = (first, second)
    ready = {number: sent(number, *both) for number in (31, 32, 33)}
    ready |= {number: sent(number) for number in (30, 34, 35, 36, 37, 38)}
    for node in both:
        awaited(grid, sent(1000, node))

    def raised(number: int) -> list[str]:
        """Ask a ClientApp that raises an exception, and wait until it has."""
        pushed = list(grid.push_messages([Message(asking(number), first, "query.raise")]))
        script.name("message", pushed[0])
        awaited(grid, sent(1001))
        return pushed

    one = ready[30]
    script.say("pull", lambda: pull(one))
    script.say("pull it again", lambda: pull(one))
    script.say("pull an unknown message", lambda: pull([UNKNOWN_ID]))
    script.say("pull no id", lambda: pull([""]))
    several = ready[31]
    script.say("pull several", lambda: [each.content["said"]["number"] for each in pull(several)])
    several = ready[32]
    script.say("pull a set", lambda: len(pull(set(several))))
    several = ready[33]
    script.say("pull a generator", lambda: len(pull(each for each in several)))
    several = ready[34]
    script.say("pull the same id twice", lambda: len(pull(several * 2)))
    several = ready[35]
    script.say("pull an empty list", lambda: pull([]))
    script.say("pull with an unknown one", lambda: len(pull([*several, UNKNOWN_ID])))
    script.say("pull what is left of it", lambda: len(pull(several)))
    script.say("pull a text", lambda: len(pull("text")))
    script.say("pull a number", lambda: pull(7))
    script.say("pull numbers", lambda: pull([7]))
    script.say("pull None", lambda: len(pull(None)) >= 0)
    several = ready[36]
    script.say("pull by message_ids", lambda: len(list(grid.pull_messages(message_ids=several))))
    several = ready[37]
    script.say(
        "pull by reply_to_message_ids",
        lambda: len(list(grid.pull_messages(reply_to_message_ids=several))),
    )
    several = ready[38]
    script.say(
        "pull everything",
        lambda: [
            script.name("message", each.metadata.reply_to_message_id)
            for each in grid.pull_messages()
            if each.metadata.reply_to_message_id in several
        ],
    )
    script.say("pull everything again", lambda: len(list(grid.pull_messages())))
    script.say("pull an exception", lambda: pull(raised(39)))
    script.say("never pulled", lambda: len(sent(40)))


def about_both(script: Transcript, grid: Grid, first: int, second: int) -> None:
    """Send and receive in all forms."""

    def ask(number: int, *nodes: int, kind: str = "query") -> list[Message]:
        return [Message(asking(number), node, kind) for node in nodes or (first,)]

    def numbers(replies: Iterable[Message]) -> list[Any]:
        return sorted(
            f"error {each.error.code}" if each.has_error() else str(each.content["said"]["number"])
            for each in replies
        )

    def by(messages: Any, **more: Any) -> list[Any]:
        return numbers(grid.send_and_receive(messages, **more))

    script.say("send and receive", lambda: by_question(grid.send_and_receive(ask(50))))
    script.say("send to both", lambda: by(ask(51, first, second)))
    script.say("send a generator", lambda: by(each for each in ask(52, first, second)))
    script.say("send with a timeout", lambda: by(ask(53, first, second), timeout=60))
    script.say("send with a timeout of 0", lambda: by(ask(54), timeout=0))
    script.say("send with a negative timeout", lambda: by(ask(55), timeout=-1.0))
    script.say("send with a timeout by position", lambda: grid.send_and_receive(ask(56), 60))
    script.say("send nothing", lambda: by([], timeout=20.0))
    script.say("send to an unknown node", lambda: by(ask(57, UNKNOWN_NODE), timeout=8.0))
    script.say("send to some unknown", lambda: by(ask(58, UNKNOWN_NODE, first), timeout=120.0))
    script.say("send what raises", lambda: by(ask(59, first, second, kind="query.raise")))
    script.say("send what nobody handles", lambda: by(ask(60, kind="query.unheard")))
    slow = ask(8, kind="query.later")
    script.say("send what takes longer", lambda: by(slow, timeout=1.5))
    script.say(
        "pull what took longer",
        lambda: numbers(awaited(grid, [slow[0].metadata.message_id], 30.0)),
    )


def about_expiry(script: Transcript, grid: Grid, node: int) -> None:
    """Send messages that expire."""

    def message(number: int, kind: str, ttl: float | None) -> Message:
        return Message(asking(number), node, kind, ttl=ttl)

    prompt = message(70, "query", 20.0)
    grid.push_messages([prompt])
    awaited(grid, grid.push_messages([message(71, "query", None)]))
    slow, behind = message(25, "query.later", 4.0), message(72, "query", 4.0)
    script.say("push two that expire", lambda: len(list(grid.push_messages([slow, behind]))))
    time.sleep(21.0)
    messages = {"answered": prompt, "taken": slow, "waiting": behind}
    for name, each in messages.items():
        ids = [each.metadata.message_id]
        script.say(f"pull one that expired, {name}", lambda ids=ids: grid.pull_messages(ids))
        script.say(f"pull one that expired, {name}, again", lambda ids=ids: grid.pull_messages(ids))
    script.say(
        "the node answers again",
        lambda: len(list(grid.send_and_receive([message(73, "query", None)]))),
    )
