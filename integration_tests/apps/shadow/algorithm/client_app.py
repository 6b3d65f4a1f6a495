"""A station: adds its number, counted from 1, to every weight."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add to the weights."""
    partition_id = int(context.node_config["partition-id"])
    weights = message.content["arrays"]["weights"].numpy() + partition_id + 1
    content = RecordDict(
        {
            "arrays": ArrayRecord({"weights": Array(weights)}),
            "metrics": MetricRecord({"num-examples": partition_id + 1}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Return the largest weight."""
    largest = float(message.content["arrays"]["weights"].numpy().max())
    metrics = MetricRecord({"largest": largest, "num-examples": 1})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
