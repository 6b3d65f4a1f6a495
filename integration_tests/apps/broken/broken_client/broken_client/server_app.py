"""The server: asks each station once and writes down the errors that come back."""

import json
import time
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Ask everyone to train."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(1)
    replies = grid.send_and_receive([Message(RecordDict(), node, "train") for node in node_ids])
    errors = [{"code": reply.error.code, "reason": reply.error.reason} for reply in replies]
    Path(str(config["result"])).write_text(json.dumps({"errors": errors}, indent=2) + "\n")
