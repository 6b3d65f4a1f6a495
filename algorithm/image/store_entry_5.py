"""What an algorithm store of vantage6 5 says of an app's image: the entry for 4, in 5's words.

Source: vantage6-algorithm-store 5.0.3, `vantage6/algorithm/store/resource/schema/input_schema.py`.
"""

from collections.abc import Mapping
from typing import Any

from proxy.calls import ExtractCall

_RELEASE = "5.0"
_STEPS = {"central": "central_compute", "federated": "federated_compute"}
_EXTRACT = {
    "name": ExtractCall.method,
    "display_name": "Extract a database for Flower",
    "description": "Copies a file or folder into the session, where ClientApps find it",
    "step_type": "data_extraction",
    "standalone": True,
    "databases": [{"name": "Database", "description": "What is copied", "multiple": False}],
    "arguments": [
        {
            "name": "name",
            "display_name": "Dataframe",
            "type": "string",
            "description": "The dataframe's name, as you give it to the dataframe itself",
        },
        {
            "name": "label",
            "display_name": "Label",
            "type": "string",
            "description": "The label under which ClientApps find the database",
        },
        {
            "name": "for_one_run",
            "display_name": "For one run",
            "type": "boolean",
            "description": "Whether the copy is removed when a run has ended",
            "has_default_value": True,
            "default_value": "false",
        },
    ],
    "ui_visualizations": [],
}


def entry_for_5(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry as the `POST /algorithm` of vantage6 5's store takes it.

    Parameters
    ----------
    entry : Mapping[str, Any]
        The entry for 4: see `algorithm.image.store_entry`.
    """
    functions = [_function(function) for function in entry["functions"]]
    return {**entry, "vantage6_version": _RELEASE, "functions": [*functions, _EXTRACT]}


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    members = {name: value for name, value in function.items() if name != "type"}
    databases = [{**database, "multiple": True} for database in function["databases"]]
    return {**members, "step_type": _STEPS[function["type"]], "databases": databases}
