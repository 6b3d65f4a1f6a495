"""A station: describes its table, and trains and tests the model on it."""

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from tabular import task

app = ClientApp()


def load_tables(context: Context) -> tuple[task.Table, task.Table]:
    """Load the rows of the station that this is, to train on and to test on."""
    node = context.node_config
    return task.load_table(int(node["partition-id"]), int(node["num-partitions"]))


def on_scale(table: task.Table, config: ConfigRecord) -> task.Table:
    """Put a table on the scale that came with the message."""
    return task.standardized(table, config["mean"], config["scale"])


@app.query()
def moments(message: Message, context: Context) -> Message:
    """Return what the mean and the scale of each feature are made of."""
    (features, _), _ = load_tables(context)
    answer = MetricRecord(
        {
            "num-examples": len(features),
            "sum": features.sum(axis=0).tolist(),
            "sum-of-squares": (features**2).sum(axis=0).tolist(),
        }
    )
    return Message(content=RecordDict({"answer": answer}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the model on the station's rows."""
    config = message.content["config"]
    table, _ = load_tables(context)
    weights = task.train(
        message.content["arrays"].to_numpy_ndarrays(),
        on_scale(table, config),
        steps=int(context.run_config["local-steps"]),
        seed=int(config["server-round"]),
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord(weights),
            "metrics": MetricRecord({"num-examples": len(table[1])}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Test the model on rows that the station did not train on."""
    _, table = load_tables(context)
    loss, accuracy = task.test(
        message.content["arrays"].to_numpy_ndarrays(),
        on_scale(table, message.content["config"]),
    )
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(table[1])})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
