"""A vantage6 5 HQ with its nodes, in this process. For tests.

A task's function (`proxy.vantage6.testing.model`) that returns None is one whose result was lost.
"""

from proxy.vantage6.testing.model import FakeTask, Function
from proxy.vantage6.testing.serving import Fake, Json
from proxy.vantage6.v5.testing.api import HqApi


class FakeHq(Fake[HqApi]):
    """The HQ; it takes the token "a token" for a user's."""

    def __init__(
        self,
        function: Function = lambda _: {},
        organizations: tuple[str, ...] = ("Alpha", "Beta", "Gamma"),
        encrypted: bool = False,
    ) -> None:
        super().__init__(HqApi, "hq", function, organizations, encrypted)

    def claims(self, task: FakeTask) -> Json:  # noqa: ARG002
        """Return what else a container's token says."""
        databases = [[{"label": "digits", "type": "dataframe", "dataframe_id": 7}]]
        return {"session_id": 1, "databases": databases, "vantage6_client_type": "container"}
