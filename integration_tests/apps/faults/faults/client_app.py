"""A station: adds to a number, unless the run config wants it to wait or to crash first."""

import os
import time
from pathlib import Path

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def append_line(path: str, line: str) -> None:
    """Append a line in one piece, whoever else appends to the file."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def write_pid(path: Path) -> None:
    """Write this process's id; the file appears with its content already in it."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(path)


def wait_for(path: Path) -> None:
    """Wait until somebody makes a file."""
    while not path.exists():
        time.sleep(0.1)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Tell the journal, suffer what has to be suffered, and add the station's number."""
    config = context.run_config
    partition_id = int(context.node_config["partition-id"])
    server_round = int(message.content["config"]["server-round"])
    here_and_now = (partition_id, server_round)

    if journal := str(config["journal"]):
        append_line(journal, f"{message.metadata.message_id} {partition_id} {server_round}")
    if pid_dir := str(config["pid-dir"]):
        write_pid(Path(pid_dir, f"{partition_id}-{server_round}"))
    if here_and_now == (config["exit-partition"], config["exit-round"]):
        os._exit(9)
    if here_and_now == (config["raise-partition"], config["raise-round"]):
        raise RuntimeError("raised on purpose")
    if here_and_now == (config["sleep-partition"], config["sleep-round"]):
        time.sleep(float(config["sleep-seconds"]))
    if f"{partition_id}-{server_round}" in str(config["hold"]).split():
        wait_for(Path(journal).with_name(f"{partition_id}-{server_round}.go"))

    value = float(message.content["metrics"]["value"]) + partition_id + 1
    metrics = MetricRecord({"partition-id": partition_id, "value": value})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
