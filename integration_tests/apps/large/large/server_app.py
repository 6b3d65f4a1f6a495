"""The server: averages the weights, and writes down their hash and the time of each round."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


def make_weights(config: dict[str, Any]) -> np.ndarray:
    """Make random weights, as many as the run config says."""
    size = int(config["kilobytes"]) * 1_000 or int(config["megabytes"]) * 1_000_000
    return np.random.default_rng(0).standard_normal(size // 4, dtype=np.float32)


def said(weights: np.ndarray, count: int) -> RecordDict:
    """Return what is sent: the weights, cut into so many arrays."""
    parts = np.array_split(weights, count) if count > 1 else [weights]
    arrays = {f"weights-{number}": Array(part) for number, part in enumerate(parts)}
    return RecordDict({"arrays": ArrayRecord(arrays)})


def weights_in(answer: RecordDict) -> np.ndarray:
    """Return the weights that a station sent."""
    parts = [array.numpy() for array in answer["arrays"].values()]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def ask(
    grid: Grid, node_ids: list[int], message_type: str, content: RecordDict
) -> tuple[list[RecordDict], float]:
    """Return all stations' answers, in the order of partitions, and how many seconds it took."""
    messages = [Message(content, node_id, message_type) for node_id in node_ids]
    start = time.perf_counter()
    replies = grid.send_and_receive(messages)
    seconds = time.perf_counter() - start
    answers = [reply.content for reply in replies]
    return sorted(answers, key=lambda answer: answer["metrics"]["partition-id"]), seconds


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds, and evaluate unless told not to."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)

    weights = make_weights(config)
    record: dict[str, Any] = {"bytes": weights.nbytes, "sha256": [], "sums": [], "seconds": []}
    content = said(weights, int(config["num-arrays"]))
    for _ in range(int(config["num-server-rounds"])):
        answers, seconds = ask(grid, node_ids, "train", content)
        weights = sum(weights_in(answer) for answer in answers)
        weights /= len(answers)
        content = said(weights, int(config["num-arrays"]))
        record["sha256"].append(hashlib.sha256(weights).hexdigest())
        record["seconds"].append(seconds)
        if config["evaluate"]:
            answers, _ = ask(grid, node_ids, "evaluate", content)
            record["sums"].append([answer["metrics"]["sum"] for answer in answers])
    Path(str(config["result"])).write_text(json.dumps(record, indent=2) + "\n")
