"""A station: trains the network on its own images and evaluates it there."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits import task

app = ClientApp()


def load_station_data(context: Context) -> tuple[task.Images, task.Images]:
    """Load the images of the station that this is."""
    node = context.node_config
    return task.load_data(int(node["partition-id"]), int(node["num-partitions"]))


def load_model(message: Message) -> task.Net:
    """Make a network with the parameters that came with the message."""
    net = task.Net()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    return net


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the network on the station's images."""
    config = context.run_config
    server_round = int(message.content["config"]["server-round"])
    partition_id = int(context.node_config["partition-id"])
    data, _ = load_station_data(context)
    net = load_model(message)
    loss = task.train(
        net,
        data,
        epochs=int(config["local-epochs"]),
        lr=float(config["learning-rate"]),
        batch_size=int(config["batch-size"]),
        seed=int(config["seed"]) + 1000 * server_round + partition_id,
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord(net.state_dict()),
            "metrics": MetricRecord({"train-loss": loss, "num-examples": len(data[1])}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the network on images that the station did not train on."""
    _, data = load_station_data(context)
    loss, accuracy = task.test(load_model(message), data)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(data[1])})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
