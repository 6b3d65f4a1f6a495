"""The server: goes on with the stations that answer, and writes down what each of them did."""

import json
import time
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


def describe(reply: Message) -> dict[str, Any]:
    """Tell what a reply says, be it a value or an error."""
    if reply.has_error():
        return {"error": reply.error.code, "reason": reply.error.reason, "value": None}
    return {"error": None, "reason": None, "value": reply.content["metrics"]["value"]}


def await_nodes(grid: Grid, number: int) -> list[int]:
    """Wait until neither more nor fewer nodes are online; returns their ids."""
    while len(node_ids := list(grid.get_node_ids())) != number:
        time.sleep(1)
    return node_ids


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Average the values of those who answer, for some rounds."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)

    value = 0.0
    rounds: list[dict[str, Any]] = []
    online = [int(number) for number in str(config["nodes"]).split()]
    partitions: dict[int, int] = {}  # of the nodes that have told theirs: an error tells nothing
    for server_round in range(1, int(config["num-server-rounds"]) + 1):
        if online:
            node_ids = await_nodes(grid, online[server_round - 1])
        content = RecordDict(
            {
                "config": ConfigRecord({"server-round": server_round}),
                "metrics": MetricRecord({"value": value}),
            }
        )
        messages = [
            Message(content, node_id, "train", group_id=str(server_round)) for node_id in node_ids
        ]
        start = time.perf_counter()
        replies = list(grid.send_and_receive(messages))
        seconds = time.perf_counter() - start

        asked = {sent.metadata.message_id: sent.metadata.dst_node_id for sent in messages}
        answers: list[dict[str, Any]] = []
        for reply in replies:
            node_id = asked[reply.metadata.reply_to_message_id]
            if reply.has_content():
                partitions[node_id] = int(reply.content["metrics"]["partition-id"])
            answers.append({"partition": partitions.get(node_id), **describe(reply)})
        answers.sort(key=lambda answer: (answer["partition"] is None, answer["partition"] or 0))
        rounds.append({"replies": answers, "seconds": seconds})
        Path(str(config["result"])).write_text(json.dumps({"rounds": rounds}, indent=2) + "\n")

        if values := [answer["value"] for answer in answers if answer["error"] is None]:
            value = sum(values) / len(values)
        if config["server-fail"]:
            raise RuntimeError("the server app failed on purpose")
