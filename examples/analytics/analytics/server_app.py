"""The server: asks all stations two questions and puts their answers together."""

import json
import math
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp

EDGES = list(range(60, 221, 10))

app = ServerApp()


def ask(
    grid: Grid, node_ids: Iterable[int], question: str, **details: list[int]
) -> list[MetricRecord]:
    """Return the answers of the stations that answered."""
    content = RecordDict({"question": ConfigRecord(dict(details))})
    messages = [Message(content, node_id, f"query.{question}") for node_id in node_ids]
    answers = []
    for reply in grid.send_and_receive(messages):
        if reply.has_error():
            print(f"A station did not answer {question}: {reply.error.reason}")
        else:
            answers.append(reply.content["answer"])
    if not answers:
        raise RuntimeError(f"No station answered {question}.")
    return answers


def total(answers: list[MetricRecord], group: str) -> np.ndarray:
    """Return the sum of what the stations say of a group."""
    return np.sum([answer[group] for answer in answers if group in answer], axis=0)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Ask, and write a table."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)

    moments = ask(grid, node_ids, "moments")
    counts = ask(grid, node_ids, "histogram", edges=EDGES)
    table = {}
    for group in sorted({group for answer in moments for group in answer}):
        number, first, second = total(moments, group)
        mean = first / number
        table[group] = {
            "patients": int(number),
            "mean": round(mean, 2),
            "standard-deviation": round(math.sqrt(second / number - mean**2), 2),
            "histogram": total(counts, group).tolist(),
        }
        print(
            f"{group:8} {int(number):5} patients, {mean:.1f}"
            f" ± {table[group]['standard-deviation']:.1f} mmHg"
        )
    record = {"stations": len(moments), "edges": EDGES, "groups": table}
    Path(str(config["result"])).write_text(json.dumps(record, indent=2) + "\n")
