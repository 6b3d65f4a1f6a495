"""A station: trains a network as wide as its machine bears; a mod makes the server's fit."""

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from weights import task
from weights.adapt import Weights, adapting, as_record, as_weights


def new_weights(context: Context) -> Weights:
    """Return a network as wide as this station's is: every second one is narrower or wider."""
    width = int(context.run_config["hidden-units"])
    widths = (width, width - 4, width + 4)
    return task.new_weights(widths[int(context.node_config["partition-id"]) % 3])


app = ClientApp(mods=[adapting(new_weights)])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the station's network on its own images."""
    config, node = context.run_config, context.node_config
    data = task.load_data(int(node["partition-id"]), int(node["num-partitions"]))
    weights = task.train(
        as_weights(message.content["arrays"]),
        data,
        epochs=int(config["local-epochs"]),
        lr=float(config["learning-rate"]),
        batch_size=32,
        seed=1000 * int(message.content["config"]["server-round"]) + int(node["partition-id"]),
    )
    loss, accuracy = task.test(weights, data)
    metrics = {"loss": loss, "accuracy": accuracy, "num-examples": len(data[1])}
    content = RecordDict({"arrays": as_record(weights), "metrics": MetricRecord(metrics)})
    return Message(content=content, reply_to=message)
