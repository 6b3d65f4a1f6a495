"""A station: imports a module that nobody has."""

import a_module_that_does_not_exist  # noqa: F401
from flwr.clientapp import ClientApp

app = ClientApp()
