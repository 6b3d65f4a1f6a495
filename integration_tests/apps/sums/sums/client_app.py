"""A station: adds numbers of its own to the model."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add noise that depends on the station alone."""
    (model,) = message.content["arrays"].to_numpy_ndarrays()
    own = np.random.default_rng(int(context.node_config["partition-id"]))
    model += own.normal(size=model.shape).astype(model.dtype)
    content = {"arrays": ArrayRecord([model]), "metrics": MetricRecord({"num-examples": 1})}
    return Message(content=RecordDict(content), reply_to=message)
