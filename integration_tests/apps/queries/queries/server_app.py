"""The server: asks all stations the same questions and adds up their answers.

It talks to them in all three ways: sending and waiting (the histogram), sending first and
collecting by hand (the count), and sending without ever looking at the replies (the greeting).
"""

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()

EDGES = [0, 20, 40, 60, 80, 100]


def ask(node_ids: list[int], message_type: str, **question: int | list[int]) -> list[Message]:
    """Make one message for each station."""
    content = RecordDict({"question": ConfigRecord(dict(question))})
    return [Message(content, node_id, message_type) for node_id in node_ids]


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Greet the stations, then ask them."""
    config = context.run_config
    older_than = int(config["older-than"])
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)

    greetings = list(grid.push_messages(ask(node_ids, "query.hello")))

    replies = grid.send_and_receive(ask(node_ids, "query", edges=EDGES))
    counts = np.sum([reply.content["answer"]["counts"] for reply in replies], axis=0)

    patients = older = 0
    question = ask(node_ids, "query.count", **{"older-than": older_than})
    waiting = set(grid.push_messages(question))
    while waiting:
        for reply in grid.pull_messages(waiting):
            waiting.discard(reply.metadata.reply_to_message_id)
            patients += reply.content["answer"]["patients"]
            older += reply.content["answer"]["older"]
        time.sleep(1)

    record = {
        "never-collected": len(greetings),
        "histogram": {"edges": EDGES, "counts": counts.tolist()},
        "count": {"patients": patients, "older-than": older_than, "older": older},
    }
    Path(str(config["result"])).write_text(json.dumps(record, indent=2) + "\n")
