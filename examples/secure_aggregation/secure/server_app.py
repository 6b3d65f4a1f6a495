"""The server: runs Flower's SecAgg+ workflow, which takes four messages a round."""

import numpy as np
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import Grid, LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

from secure import task

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds, and save the average."""
    config = context.run_config
    num_stations = int(config["num-stations"])
    legacy = LegacyContext(
        context=context,
        config=ServerConfig(num_rounds=int(config["num-server-rounds"])),
        strategy=FedAvg(
            fraction_evaluate=0.0,
            min_fit_clients=num_stations,
            min_available_clients=num_stations,
            initial_parameters=ndarrays_to_parameters(task.new_weights()),
        ),
    )
    # All stations hold a share of each mask, so that the sum survives one station's silence.
    secure = SecAggPlusWorkflow(
        num_shares=num_stations, reconstruction_threshold=num_stations - 1, max_weight=1000.0
    )
    DefaultWorkflow(fit_workflow=secure)(grid, legacy)

    record = legacy.state.array_records["parameters"]
    coefficients, intercept = (record[key].numpy() for key in record)
    np.savez(str(config["model"]), coefficients=coefficients, intercept=intercept)
    print(f"The average of {num_stations} stations: intercept {intercept[0]:.3f}")
