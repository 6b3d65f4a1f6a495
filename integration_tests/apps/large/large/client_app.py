"""A station: adds its number, counted from 1, to every weight."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add to the weights in place and send all of them back."""
    partition_id = int(context.node_config["partition-id"])
    weights = message.content["arrays"]["weights"].numpy()
    weights += partition_id + 1
    content = RecordDict(
        {
            "arrays": ArrayRecord({"weights": Array(weights)}),
            "metrics": MetricRecord({"partition-id": partition_id}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Send back nothing but the sum of the weights."""
    partition_id = int(context.node_config["partition-id"])
    total = float(message.content["arrays"]["weights"].numpy().sum(dtype=np.float64))
    metrics = MetricRecord({"partition-id": partition_id, "sum": total})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
