"""The server: sees the average, and no station's share of it."""

import numpy as np
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

try:
    from flwr.serverapp import Grid
except ImportError:  # until 1.20
    from flwr.server import Grid

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds, and save the average."""
    config = context.run_config
    stations = int(config["num-stations"])
    legacy = LegacyContext(
        context=context,
        config=ServerConfig(num_rounds=int(config["num-server-rounds"])),
        strategy=FedAvg(
            fraction_evaluate=0.0,
            min_fit_clients=stations,
            min_available_clients=stations,
            initial_parameters=ndarrays_to_parameters([np.linspace(-1.0, 1.0, 50)]),
        ),
    )
    secure = SecAggPlusWorkflow(num_shares=3, reconstruction_threshold=2, max_weight=10.0)
    DefaultWorkflow(fit_workflow=secure)(grid, legacy)
    record = legacy.state.array_records["parameters"]
    arrays = [record[key].numpy() for key in record]
    np.savez(str(config["result"]), *arrays)
