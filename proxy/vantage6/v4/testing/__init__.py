"""A vantage6 4 server with its nodes, in this process: the API over HTTP, the rest in memory.

    with FakeServer(lambda task: {"answer": task.input["kwargs"]["question"] * 2}) as fake:
        server = Server4(fake.url, UserLogin(fake.url, "ada", fake.api.password))

For tests.
"""

from proxy.vantage6.testing.keys import private_key, public_key
from proxy.vantage6.testing.model import Asked, Ended, FakeTask, Function
from proxy.vantage6.testing.serving import Failure, Fake, Json
from proxy.vantage6.v4.testing.api import Api

__all__ = ["Asked", "Ended", "Failure", "FakeServer", "FakeTask", "private_key", "public_key"]


class FakeServer(Fake[Api]):
    """The server; `api` has the user's `password`, and `mfa_code`, empty for no second factor."""

    def __init__(
        self,
        function: Function = lambda _: {},
        organizations: tuple[str, ...] = ("Alpha", "Beta", "Gamma"),
        encrypted: bool = False,
    ) -> None:
        super().__init__(
            lambda model: Api(model, "a secret password"), "api", function, organizations, encrypted
        )

    def claims(self, task: FakeTask) -> Json:
        """Return what else a container's token says."""
        return {"databases": [{"label": each, "parameters": "{}"} for each in task.asked.databases]}
