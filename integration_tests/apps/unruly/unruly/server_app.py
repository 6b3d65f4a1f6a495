"""The server: asks all stations the same, one thing after the other."""

import json
import time
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


def told(reply: Message) -> dict[str, Any]:
    """Return what a reply says."""
    if reply.has_error():
        return {"error": reply.error.code, "reason": reply.error.reason}
    return dict(reply.content["values"])


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Write down all answers, each station's in the order of the questions."""
    config = context.run_config
    while len(nodes := sorted(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)
    answers: dict[str, list[dict[str, Any]]] = {str(node): [] for node in nodes}
    for ask in str(config["asks"]).split():
        messages = [Message(RecordDict(), node, f"query.{ask}") for node in nodes]
        for reply in grid.send_and_receive(messages):
            answers[str(reply.metadata.src_node_id)].append({ask: told(reply)})
    Path(str(config["result"])).write_text(json.dumps(list(answers.values()), indent=2) + "\n")
