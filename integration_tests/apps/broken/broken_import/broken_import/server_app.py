"""The server: imports a module that nobody has."""

import a_module_that_does_not_exist  # noqa: F401
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Never get here."""
