"""A station: counts the messages that it has seen."""

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
@app.evaluate()
def count(message: Message, context: Context) -> Message:
    """Count one message more and return the counter."""
    counter = context.state.setdefault("counter", MetricRecord({"messages": 0}))
    counter["messages"] += 1
    counter["partition-id"] = int(context.node_config["partition-id"])
    return Message(content=RecordDict({"counter": counter}), reply_to=message)
