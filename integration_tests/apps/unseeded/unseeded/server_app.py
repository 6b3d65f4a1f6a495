"""The server: draws numbers as most apps do, from generators without a seed of its own."""

import json
import random
import time
from pathlib import Path

import numpy as np
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Send what it draws to all stations, for some rounds, and write down what came back."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)
    drawn = []
    for _ in range(int(config["num-server-rounds"])):
        numbers = {"python": random.random(), "numpy": float(np.random.rand())}  # noqa: S311
        content = RecordDict({"metrics": MetricRecord(numbers)})
        messages = [Message(content, node_id, "train") for node_id in node_ids]
        replies = list(grid.send_and_receive(messages))
        drawn.append([dict(reply.content["metrics"]) for reply in replies])
    Path(str(config["result"])).write_text(json.dumps(drawn) + "\n")
