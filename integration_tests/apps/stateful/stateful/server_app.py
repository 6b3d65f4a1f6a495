"""The server: writes down every station's counter, by kind of message and by round."""

import json
import time
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


def ask(grid: Grid, node_ids: list[int], message_type: str, server_round: int) -> list[int]:
    """Send a message to all stations and return their counters, in the order of partitions."""
    content = RecordDict({"config": ConfigRecord({"server-round": server_round})})
    messages = [
        Message(content, node_id, message_type, group_id=str(server_round)) for node_id in node_ids
    ]
    counters = [reply.content["counter"] for reply in grid.send_and_receive(messages)]
    counters.sort(key=lambda counter: counter["partition-id"])
    return [counter["messages"] for counter in counters]


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train and evaluate for some rounds."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)

    counters: dict[str, dict[str, list[int]]] = {"train": {}, "evaluate": {}}
    for server_round in range(1, int(config["num-server-rounds"]) + 1):
        for message_type, by_round in counters.items():
            by_round[str(server_round)] = ask(grid, node_ids, message_type, server_round)
    Path(str(config["result"])).write_text(json.dumps(counters, indent=2) + "\n")
