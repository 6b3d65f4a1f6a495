"""A station: says too much at first, then a little."""

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from oversize import too_much

app = ClientApp()


@app.query("much")
def much(message: Message, context: Context) -> Message:
    """Reply with what is too large."""
    return Message(too_much(), reply_to=message)


@app.query("little")
def little(message: Message, context: Context) -> Message:
    """Reply with nothing."""
    return Message(RecordDict(), reply_to=message)
