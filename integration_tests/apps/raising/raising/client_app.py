"""A station: moves the parameters towards its own, but station 1 fails in round 2."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Go half the way from the global parameters to the station's."""
    partition_id = int(context.node_config["partition-id"])
    if partition_id == 1 and message.content["config"]["server-round"] == 2:
        raise ValueError("station 1 has no data today")
    weights = message.content["arrays"]["weights"].numpy()
    weights += (np.random.default_rng(partition_id).random(weights.size) - weights) / 2
    content = RecordDict(
        {
            "arrays": ArrayRecord({"weights": Array(weights)}),
            "metrics": MetricRecord({"num-examples": 10 + partition_id}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Return how far the global parameters are from zero."""
    norm = float(np.linalg.norm(message.content["arrays"]["weights"].numpy()))
    metrics = MetricRecord({"norm": norm, "num-examples": 1})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
