"""What the app uses of Flower, wherever a release has it."""

try:
    from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
except ImportError:  # flwr 1.20
    from flwr.app.error import Error
    from flwr.client import ClientApp
    from flwr.common import ConfigRecord, Context, Message, MetricRecord, RecordDict
    from flwr.server import Grid, ServerApp

__all__ = [
    "ClientApp",
    "ConfigRecord",
    "Context",
    "Error",
    "Grid",
    "Message",
    "MetricRecord",
    "RecordDict",
    "ServerApp",
]
