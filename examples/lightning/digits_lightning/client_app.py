"""A station: has Lightning's Trainer train and test the model on its own images."""

import lightning
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.utils.data import DataLoader

from digits_lightning import task

app = ClientApp()


def load_station_data(context: Context) -> tuple[DataLoader, DataLoader]:
    """Load the images of the station that this is, to train on and to test on."""
    node = context.node_config
    return task.load_data(int(node["partition-id"]), int(node["num-partitions"]))


def load_model(message: Message, context: Context) -> task.DigitsModel:
    """Make a model with the parameters that came with the message."""
    model = task.DigitsModel(float(context.run_config["learning-rate"]))
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    return model


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the model on the station's images."""
    server_round = int(message.content["config"]["server-round"])
    lightning.seed_everything(
        1000 * server_round + int(context.node_config["partition-id"]), verbose=False
    )
    model, (data, _) = load_model(message, context), load_station_data(context)
    trainer = task.trainer(int(context.run_config["local-epochs"]))
    trainer.fit(model, data)
    metrics = {
        "train-loss": trainer.callback_metrics["train_loss"].item(),
        "num-examples": len(data.dataset),
    }
    content = RecordDict(
        {"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord(metrics)}
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Test the model on images that the station did not train on."""
    _, data = load_station_data(context)
    (metrics,) = task.trainer().test(load_model(message, context), data, verbose=False)
    record = MetricRecord({**metrics, "num-examples": len(data.dataset)})
    return Message(content=RecordDict({"metrics": record}), reply_to=message)
