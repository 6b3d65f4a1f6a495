"""The server: in a first round it takes replies one by one, in a second it waits for some time."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()

_TIMEOUT_SECONDS = 6.0


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Write down the partitions in the order in which their replies came."""
    config = context.run_config
    folder = Path(str(config["folder"]))
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(0.1)
    polled: list[int] = []
    waiting = set(grid.push_messages(_messages(node_ids, "polled")))
    while waiting:
        replies = list(grid.pull_messages(waiting))
        waiting -= {reply.metadata.reply_to_message_id for reply in replies}
        polled += _partitions(replies)
        if polled:
            (folder / "polled").touch()
        time.sleep(0.05)
    timed = grid.send_and_receive(_messages(node_ids, "timed"), timeout=_TIMEOUT_SECONDS)
    time.sleep(1.0)  # a station may have its message later than it was sent
    (folder / "timed").touch()
    while not (folder / "end").exists():
        time.sleep(0.05)
    result = {"polled": polled, "timed": _partitions(timed)}
    Path(str(config["result"])).write_text(json.dumps(result) + "\n")


def _messages(node_ids: Iterable[int], group: str) -> list[Message]:
    return [Message(RecordDict(), node_id, "train", group_id=group) for node_id in node_ids]


def _partitions(replies: Iterable[Message]) -> list[int]:
    return [int(reply.content["metrics"]["partition"]) for reply in replies]
