"""A station: answers questions about its patients with sums and counts, never with rows."""

import numpy as np
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from analytics.patients import Patients, load_patients

app = ClientApp()


def groups(patients: Patients, context: Context) -> dict[str, np.ndarray]:
    """Return the blood pressures of smokers and others; a small group is left out."""
    pressures = {
        "smokers": patients.pressure[patients.smokes],
        "others": patients.pressure[~patients.smokes],
    }
    fewest = int(context.run_config["min-patients"])
    return {name: found for name, found in pressures.items() if len(found) >= fewest}


@app.query("moments")
def moments(message: Message, context: Context) -> Message:
    """Return what mean and standard deviation of each group are made of."""
    answer = MetricRecord()
    for name, pressures in groups(load_patients(context.node_config), context).items():
        answer[name] = [float(len(pressures)), float(pressures.sum()), float((pressures**2).sum())]
    return Message(content=RecordDict({"answer": answer}), reply_to=message)


@app.query("histogram")
def histogram(message: Message, context: Context) -> Message:
    """Count each group's patients between the edges that came with the question."""
    edges = message.content["question"]["edges"]
    answer = MetricRecord()
    for name, pressures in groups(load_patients(context.node_config), context).items():
        counts, _ = np.histogram(pressures, bins=edges)
        answer[name] = counts.tolist()
    return Message(content=RecordDict({"answer": answer}), reply_to=message)
