"""What is vantage6 4.x' own in its server's REST API.

Source: vantage6 4.15, `vantage6/server/resource/`.
"""

from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from proxy import strict_json
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

    def method_of(self, task: Mapping[str, Any]) -> object:
        """Return the function that a task calls; None where its input is encrypted."""
        runs = self.all("run", task_id=task["id"])
        with suppress(ValueError, LookupError, TypeError):
            content = strict_json.loads(b64decode(runs[0]["input"], validate=True))
            return content["method"]
        return None

    def naming_store(self, number: int) -> dict[str, Any]:
        """Return the members by which a task names the algorithm store that has its image."""
        # A server that does not know its own address asks the store in this one's name.
        return {**super().naming_store(number), "server_url": self.url}

    def _members(self, method: str) -> dict[str, Any]:  # noqa: ARG002
        return {}
