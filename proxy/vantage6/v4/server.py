"""What is vantage6 4.x' own in its server's REST API.

Source: vantage6 4.15, `vantage6/server/resource/`.
"""

from collections.abc import Mapping
from typing import Any

from proxy.platforms import VANTAGE6_4
from proxy.vantage6.server import Server, answer_of


class Server4(Server):
    """The API of a vantage6 4.x server."""

    platform = VANTAGE6_4
    _input = "input"

    def own_organization(self) -> int:
        """Return the id of the user's organization; users may ask."""
        with self.call("POST", "token/user/validate") as response, self.understanding():
            return int(answer_of(response)["organization_id"])

    def arguments(self, method: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members of the input: it names the function."""
        return {"method": method, "kwargs": dict(kwargs)}

    def _members(self, method: str) -> dict[str, Any]:  # noqa: ARG002
        return {}
