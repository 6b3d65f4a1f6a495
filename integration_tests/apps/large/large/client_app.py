"""A station: adds its number, counted from 1, to every weight."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add to the weights in place and send all of them back."""
    partition_id = int(context.node_config["partition-id"])
    arrays = {}
    for name, array in message.content["arrays"].items():
        weights = array.numpy()
        weights += partition_id + 1
        arrays[name] = Array(weights)
    content = RecordDict(
        {
            "arrays": ArrayRecord(arrays),
            "metrics": MetricRecord({"partition-id": partition_id}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Send back nothing but the sum of the weights."""
    partition_id = int(context.node_config["partition-id"])
    arrays = message.content["arrays"].values()
    total = float(sum(array.numpy().sum(dtype=np.float64) for array in arrays))
    metrics = MetricRecord({"partition-id": partition_id, "sum": total})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
