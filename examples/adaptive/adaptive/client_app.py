"""A station: trains the network on its own images, as fast as the server says."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from adaptive import task

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Judge the network that came, then train it with the learning rate that came."""
    config, node = message.content["config"], context.node_config
    received = {name: array.numpy() for name, array in message.content["arrays"].items()}
    data = task.load_data(int(node["partition-id"]), int(node["num-partitions"]))
    loss, _ = task.test(received, data)
    weights = task.train(
        received,
        data,
        epochs=int(context.run_config["local-epochs"]),
        lr=float(config["learning-rate"]),
        batch_size=int(context.run_config["batch-size"]),
        seed=1000 * int(config["server-round"]) + int(node["partition-id"]),
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord({name: Array(array) for name, array in weights.items()}),
            "metrics": MetricRecord({"loss-before": loss, "num-examples": len(data[1])}),
        }
    )
    return Message(content=content, reply_to=message)
