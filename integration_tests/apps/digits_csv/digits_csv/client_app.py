"""A station: trains on the table that its owner made a database of the vantage6 node."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits_csv import task

app = ClientApp()


def load_station_data(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Load the table of the station that this is."""
    if "database-uri" not in context.node_config:
        raise ValueError("this station was given no database, so there is no table to train on")
    return task.load_table(str(context.node_config["database-uri"]))


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the model on the station's table."""
    config = context.run_config
    images, digits = load_station_data(context)
    weights = task.train(
        message.content["arrays"]["weights"].numpy(),
        images,
        digits,
        epochs=int(config["local-epochs"]),
        lr=float(config["learning-rate"]),
    )
    metrics = {
        "partition-id": int(context.node_config["partition-id"]),
        "num-examples": len(digits),
    }
    content = RecordDict(
        {
            "arrays": ArrayRecord({"weights": Array(weights)}),
            "metrics": MetricRecord(metrics),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the model on the station's table."""
    images, digits = load_station_data(context)
    loss, accuracy = task.test(message.content["arrays"]["weights"].numpy(), images, digits)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(digits)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
