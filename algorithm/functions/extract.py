"""Function for a session: copies a database into the session's folder, where ClientApps find it.

What the platform keeps as the dataframe is an index without any of the data: a Parquet file with
one empty column, so that no name of a column leaves the station.
"""

import time
from base64 import b64decode

from proxy.calls import ExtractCall
from proxy.errors import CarrierError
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload
from proxy.vantage6.v5.extracted import keep

_SEEN_SECONDS = 4.0
# Written by pyarrow: one column "database" of type string, no row.
_INDEX = (
    "UEFSMRUEGSw1ABgGc2NoZW1hFQIAFQwlAhgIZGF0YWJhc2UlAEwcAAAAFgAZHBkcJgAcFQwZFQYZGAhkYXRhYmFz"
    "ZRUAFgAWABYAJgBJDAAAFgAWACYAFgAAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRkcHAAAAH4A"
    "AABQQVIx"
)


def main(container: Container, task: Payload) -> None:
    """Leave the index in the output file.

    The task is an `ExtractCall`.

    Raises
    ------
    CarrierError
        If the database cannot be copied.
    """
    call = ExtractCall.read(task.fields)
    if "" not in container.databases:
        raise CarrierError("Databases are extracted in a session of vantage6 5 only.")
    keep(container.shared_folder, call.name, call.label, container.databases[""], call.for_one_run)
    container.output_file.write_bytes(b64decode(_INDEX))
    # A pod that ends before its node saw it run is shown as failed, and that fails the other
    # stations' runs of this task that have not begun.
    time.sleep(_SEEN_SECONDS)
