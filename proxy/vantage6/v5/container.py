"""What a vantage6 5.x algorithm container finds in its environment.

It has no database but those that were extracted into its session, whose folder is shared by all
containers of the session at a node. Source: vantage6 5.0.3, `vantage6/common/globals.py`
(`ContainerEnvNames`) and `vantage6/node/k8s/container_manager.py`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from proxy.errors import CarrierError
from proxy.platforms import platform_of
from proxy.vantage6.container import (
    Container,
    Database,
    decoded_path,
    decoded_value,
    proxy_address,
)
from proxy.vantage6.v5.extracted import read_extracted

# Not encoded: a Kubernetes secret. A central function has one.
_TOKEN = "CONTAINER_TOKEN"  # noqa: S105
_DATAFRAMES = "USER_REQUESTED_DATAFRAMES"
_SOURCE = "DATABASE_URI"
_SEPARATORS = re.compile("[,;]")
# vantage6/hq/resource/common/input_schema.py, `DataframeInitInputSchema`. It names files.
_DATAFRAME = re.compile(r"[0-9A-Za-z_-]{1,200}")


def read(environment: Mapping[str, str]) -> Container:
    """Read the contract.

    A function that extracts has one database, its source, under the label "".

    Raises
    ------
    CarrierError
        If a variable is missing or not encoded as it should be.
    """
    session = decoded_path(environment, "SESSION_FOLDER")
    return Container(
        input_file=decoded_path(environment, "INPUT_FILE"),
        output_file=decoded_path(environment, "OUTPUT_FILE"),
        shared_folder=session,
        databases=_databases(environment, session),
        platform=platform_of(environment),
        # The folder is everybody's who has the session: this part of it is the bridge's.
        jobs_folder=session / "flower-v6" / "jobs",
        method=decoded_value(environment, "ALGORITHM_METHOD"),
        token=environment.get(_TOKEN, ""),
        server=proxy_address(environment),
    )


def _databases(environment: Mapping[str, str], session: Path) -> dict[str, Database]:
    if _SOURCE in environment:
        uri, kind = (decoded_value(environment, name) for name in (_SOURCE, "DATABASE_TYPE"))
        return {"": Database(uri, kind)}
    if _DATAFRAMES not in environment:
        return {}
    names = [part for part in _SEPARATORS.split(decoded_value(environment, _DATAFRAMES)) if part]
    for name in names:
        if not _DATAFRAME.fullmatch(name):
            raise CarrierError(f"{_DATAFRAMES} has {name[:80]!r}, which names no dataframe.")
    return dict(read_extracted(session, name) for name in names)
