"""A station: answers with the number that it was asked, at once, later or never."""

import time

from conversation.flower import ClientApp, Message, MetricRecord, RecordDict

app = ClientApp()


def answer(message: Message) -> Message:
    """Return the number that came."""
    number = message.content["asked"]["number"]
    return Message(RecordDict({"said": MetricRecord({"number": number})}), reply_to=message)


@app.query()
def query(message: Message, context: object) -> Message:
    """Answer at once."""
    return answer(message)


@app.query("later")
def later(message: Message, context: object) -> Message:
    """Answer after some seconds."""
    time.sleep(float(message.content["asked"]["number"]))
    return answer(message)


@app.query("raise")
def fail(message: Message, context: object) -> Message:
    """Raise an exception."""
    raise RuntimeError("on purpose")
