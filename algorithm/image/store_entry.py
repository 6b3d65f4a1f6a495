"""What an algorithm store says of an app's image: `algorithm_store.json`.

Sources: vantage6-algorithm-store 4.15, `resource/schema/input_schema.py` (what it accepts) and
`model/common/ui_visualization_schemas.py`; what the web interface does with it is said in
`algorithm.functions.tables`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from algorithm.flower.manifest import Manifest
from algorithm.functions.arguments import SUPERNODES
from algorithm.functions.tables import CHART, CHART_X, ROUNDS, ROWS
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
        "description": "bridge: with a real SuperLink and real SuperNodes. direct: only the"
        " ServerApp and the ClientApps, with the same results, many times faster",
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
_TABLES = (
    {
        "name": "Rounds",
        "description": "The means over the stations, weighted by their examples",
        "type": "table",
        "schema": {"location": [ROUNDS]},
    },
    {
        "name": "Stations",
        "description": "What each station replied, by round",
        "type": "table",
        "schema": {"location": [ROWS]},
    },
)
# So much of a default is shown in the form's help.
_MOST_CHARACTERS = 60
# Only the central starts them, so that the UI need not offer them.
_PARTIALS = {
    "host": "Keeps a warm SuperNode at a station for a whole run",
    "courier": "Brings one message to a station's warm SuperNode, and its reply back",
    "per_round": "Starts a SuperNode at a station for one message",
}


def store_entry(image: str, manifest: Manifest, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of an app's image, as the store's `POST /algorithm` takes it.

    Parameters
    ----------
    image : str
        The image's name, as nodes pull it.
    manifest : Manifest
        The one in it.
    described : Mapping[str, Any]
        What is in the app's pyproject.toml.
    """
    project = described["project"]
    urls = project.get("urls") or {}
    # Each is the function's own choice where it is not given: a default, if only null.
    arguments = [
        {"has_default_value": True, "default_value": None, **argument}
        for argument in _CENTRAL_ARGUMENTS
    ]
    arguments[0]["description"] = _about_run_config(described, manifest.run_config_keys)
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
                "ui_visualizations": [*_TABLES, *_charts(manifest.chart)],
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


def _charts(metric: str) -> list[dict[str, Any]]:
    """Return the line, if there is one; of two the page would keep showing the first."""
    if not metric:
        return []
    return [
        {
            "name": f"Chart of {metric}",
            "description": f"The mean of {metric} over the stations, by round",
            "type": "line",
            "schema": {"location": [CHART], "x": CHART_X, "y": metric},
        }
    ]


def _about_run_config(described: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the form's help: what a run may override, and what it is without that."""
    about = "Values that override the app's run config, as a JSON object"
    if not keys:
        return f"{about}. The app has none"
    config = described.get("tool", {}).get("flwr", {}).get("app", {}).get("config", {})
    defaults = (f"{key}: {_default(config, key):.{_MOST_CHARACTERS}}" for key in keys)
    return f"{about}. The app has, with these defaults: {'; '.join(defaults)}"


def _default(config: Any, key: str) -> str:
    """Return the value of a key, whose parts are joined by dots and may have dots themselves."""
    if key in config:
        return json.dumps(config[key])
    for name, table in config.items():
        if isinstance(table, Mapping) and key.startswith(f"{name}."):
            return _default(table, key.removeprefix(f"{name}."))
    return "?"
