"""A hospital: says its name, and trains and tests on its own patients."""

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from hospitals import task

app = ClientApp()


@app.query()
def name(message: Message, context: Context) -> Message:
    """Return the name under which the site's owner, or whoever started it, knows it."""
    record = ConfigRecord({"name": str(context.node_config.get("station-name", ""))})
    return Message(content=RecordDict({"site": record}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train on the site's patients."""
    config = context.run_config
    patients = task.load_patients(context.node_config)
    weights = task.train(
        message.content["arrays"]["weights"].numpy(),
        patients,
        steps=int(config["local-steps"]),
        lr=float(config["learning-rate"]),
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord({"weights": Array(weights)}),
            "metrics": MetricRecord({"num-examples": len(patients[1])}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Test on the site's patients."""
    patients = task.load_patients(context.node_config)
    loss, accuracy = task.test(message.content["arrays"]["weights"].numpy(), patients)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(patients[1])})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
