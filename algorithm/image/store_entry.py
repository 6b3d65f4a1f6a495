"""What an algorithm store says of an app's image: `algorithm_store.json`.

Sources: vantage6-algorithm-store 4.15, `resource/schema/input_schema.py` (what it accepts) and
`model/common/ui_visualization_schemas.py`; the vantage6 UI's `visualize-table.component.ts` (rows:
a list of objects) and `visualize-line.component.ts` (columns: one object of lists).
"""

from collections.abc import Mapping
from typing import Any

from algorithm.flower.manifest import Manifest
from algorithm.functions.arguments import SUPERNODES
from algorithm.functions.result import COLUMNS, LINE_X, LINE_Y, ROWS
from proxy.calls import DEFAULT_DEADLINE_SECONDS, DEFAULT_LIFETIME, DEFAULT_MODE, Mode

_VANTAGE6_RELEASE = "4.15"

_CENTRAL_ARGUMENTS = (
    {
        "name": "run_config",
        "display_name": "Run config",
        "type": "json",
        "description": "Values that override the app's run config, by key",
        "default_value": "{}",
    },
    {
        "name": "organizations",
        "display_name": "Organizations",
        "type": "organization_list",
        "description": "Where to train; without it, at all organizations of the collaboration",
    },
    {
        "name": "supernodes",
        "display_name": "SuperNodes",
        "type": "string",
        "description": "warm: keep each station's SuperNode, and the ClientApp's state, for the"
        " whole run. per-round: start one for each message",
        "allowed_values": list(SUPERNODES),
        "default_value": DEFAULT_LIFETIME.value,
    },
    {
        "name": "mode",
        "display_name": "Mode",
        "type": "string",
        "description": "bridge: a real SuperLink and real SuperNodes",
        "allowed_values": list(map(str, Mode)),
        "default_value": DEFAULT_MODE.value,
    },
    {
        "name": "deadline",
        "display_name": "Deadline (seconds)",
        "type": "float",
        "description": "How long a station may take for a message",
        "default_value": f"{DEFAULT_DEADLINE_SECONDS:g}",
    },
    {
        "name": "idle_limit",
        "display_name": "Idle limit (seconds)",
        "type": "float",
        "description": "After how long without a message a warm SuperNode ends; without it, twice"
        " the deadline",
    },
)
_VISUALIZATIONS = (
    {
        "name": "Metrics",
        "description": "What each station reported, by round",
        "type": "table",
        "schema": {"location": [ROWS]},
    },
    {
        "name": "Loss",
        "description": "The stations' mean loss, by round",
        "type": "line",
        "schema": {"location": [COLUMNS], "x": LINE_X, "y": LINE_Y},
    },
)
# Only the central starts them, so that the UI need not offer them.
_PARTIALS = {
    "host": "Keeps a warm SuperNode at a station for a whole run",
    "courier": "Brings one message to a station's warm SuperNode, and its reply back",
    "per_round": "Starts a SuperNode at a station for one message",
}


def store_entry(image: str, manifest: Manifest, project: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of an app's image, as the store's `POST /algorithm` takes it.

    Parameters
    ----------
    image : str
        The image's name, as nodes pull it.
    manifest : Manifest
        The one in it.
    project : Mapping[str, Any]
        The section [project] of the app's pyproject.toml.
    """
    urls = project.get("urls") or {}
    # Each is the function's own choice where it is not given: a default, if only null.
    arguments = [
        {"has_default_value": True, "default_value": None, **each} for each in _CENTRAL_ARGUMENTS
    ]
    databases = [{"name": "Database", "description": "What the ClientApp reads at each station"}]
    return {
        "name": manifest.name,
        "description": project.get("description") or f"The Flower app {manifest.name}",
        "image": image,
        "partitioning": "horizontal",
        "vantage6_version": _VANTAGE6_RELEASE,
        "code_url": next(iter(urls.values()), ""),
        "submission_comments": f"App (FAB) {manifest.fab_sha256}, built by flwr {manifest.flwr}",
        "functions": [
            {
                "name": "central",
                "display_name": f"Run {manifest.name}",
                "description": "Runs the Flower app on the data of the organizations",
                "type": "central",
                "standalone": True,
                "databases": databases,
                "arguments": arguments,
                "ui_visualizations": list(_VISUALIZATIONS),
            },
            *(
                {
                    "name": name,
                    "description": description,
                    "type": "federated",
                    "standalone": False,
                    "databases": databases,
                    "arguments": [],
                    "ui_visualizations": [],
                }
                for name, description in _PARTIALS.items()
            ),
        ],
    }
