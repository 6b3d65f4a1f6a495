"""A station: says what its ClientApp sees."""

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from nosy.look import look

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Look around."""
    seen = look(str(context.run_config["secret"]).replace(" ", "-"))
    config = {f"config {key}": str(value) for key, value in context.node_config.items()}
    content = RecordDict({"seen": ConfigRecord({**seen, **config})})
    return Message(content=content, reply_to=message)
