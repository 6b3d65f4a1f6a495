"""The server of one job: chooses the sites, trains, and leaves all in a folder by date."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from hospitals import task
from hospitals.strategy import FedAvgByName, names_of_sites

app = ServerApp()


def names(listed: object) -> frozenset[str]:
    """Return names that are separated by commas."""
    return frozenset(name for name in str(listed).split(",") if name)


def new_folder(output: str, run_id: int) -> Path:
    """Make a folder by date and time; jobs that start in the same second share none."""
    now = datetime.now().astimezone()
    folder = Path(output) / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{run_id}"
    folder.mkdir(parents=True)
    return folder


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds."""
    config = context.run_config
    include, exclude = names(config["include"]), names(config["exclude"])
    sites = names_of_sites(grid, int(config["num-stations"]))
    if unknown := (include | exclude) - set(sites.values()):
        raise ValueError(f"There is no site {', '.join(sorted(unknown))}.")
    folder = new_folder(str(config["output"]), context.run_id)
    strategy = FedAvgByName(sites, include, exclude, folder)
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord({"weights": Array(np.zeros(task.NUM_FEATURES + 1))}),
        num_rounds=int(config["num-server-rounds"]),
    )

    rounds = {
        str(server_round): dict(metrics)
        for server_round, metrics in result.evaluate_metrics_clientapp.items()
    }
    record = {"trained-at": strategy.enrolled, "rounds": rounds}
    (folder / "metrics.json").write_text(json.dumps(record, indent=2) + "\n")
    last = rounds[str(config["num-server-rounds"])]
    print(f"Trained at {', '.join(strategy.enrolled)}: accuracy {last['accuracy']:.3f} at all")
