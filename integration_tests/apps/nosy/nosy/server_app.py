"""The server: looks around, and asks each station what it sees."""

import json
import time
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from nosy.look import look

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Look around, and ask."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)
    question = RecordDict({"question": ConfigRecord({})})
    replies = grid.send_and_receive([Message(question, node_id, "query") for node_id in node_ids])
    seen = {
        "server": look(str(config["secret"]).replace(" ", "-")),
        "stations": [dict(reply.content["seen"]) for reply in replies],
    }
    Path(str(config["result"])).write_text(json.dumps(seen, indent=2) + "\n")
