"""The server: sends too much, asks for too much, and then for a little."""

import json
import time
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from oversize import too_much

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Note what becomes of it."""
    config = context.run_config
    while len(node_ids := list(grid.get_node_ids())) < int(config["num-stations"]):
        time.sleep(0.1)
    found: dict[str, Any] = {}
    try:
        grid.push_messages([Message(too_much(), node_ids[0], "query.little")])
    except ValueError as error:
        found["sent"] = str(error)
    for what in ("much", "little"):
        messages = [Message(RecordDict(), node_id, f"query.{what}") for node_id in node_ids]
        replies = grid.send_and_receive(messages)
        found[what] = [each.error.reason if each.has_error() else "" for each in replies]
    Path(str(config["result"])).write_text(json.dumps(found, indent=2) + "\n")
