"""A station: writes down what it was sent, and sends it back."""

import os

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Append the drawn numbers to a file, in one piece."""
    metrics = message.content["metrics"]
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    file = os.open(str(context.run_config["trained"]), flags, 0o644)
    line = f"{context.node_config['partition-id']} {metrics['python']} {metrics['numpy']}\n"
    os.write(file, line.encode())
    os.close(file)
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
