"""A station: answers questions about a column of its own, with numbers and never with rows."""

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def load_ages(context: Context) -> np.ndarray:
    """Make up the ages of the station's patients."""
    partition_id = int(context.node_config["partition-id"])
    return np.random.default_rng(partition_id).integers(18, 90, size=200 + 50 * partition_id)


@app.query("hello")
def hello(message: Message, context: Context) -> Message:
    """Greet the server."""
    greeting = f"hello from station {context.node_config['partition-id']}"
    content = RecordDict({"greeting": ConfigRecord({"text": greeting})})
    return Message(content=content, reply_to=message)


@app.query()
def histogram(message: Message, context: Context) -> Message:
    """Count the ages between the edges that came with the question."""
    counts, _ = np.histogram(load_ages(context), bins=message.content["question"]["edges"])
    content = RecordDict({"answer": MetricRecord({"counts": counts.tolist()})})
    return Message(content=content, reply_to=message)


@app.query("count")
def count(message: Message, context: Context) -> Message:
    """Count all patients, and those older than the question says."""
    ages = load_ages(context)
    older = int(np.count_nonzero(ages > message.content["question"]["older-than"]))
    content = RecordDict({"answer": MetricRecord({"patients": ages.size, "older": older})})
    return Message(content=content, reply_to=message)
