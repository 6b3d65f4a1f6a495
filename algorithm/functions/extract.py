"""Function for a session: copies a database into the session's folder, where ClientApps find it.

What the platform keeps as the dataframe is an index without any of the data: a Parquet file with
one empty column, so that no name of a column leaves the station.
"""

from base64 import b64decode

from proxy.errors import CarrierError
from proxy.vantage6.container import Container
from proxy.vantage6.payload import Payload
from proxy.vantage6.v5.extracted import keep

# Written by pyarrow: one column "database" of type string, no row.
_INDEX = (
    "UEFSMRUEGSw1ABgGc2NoZW1hFQIAFQwlAhgIZGF0YWJhc2UlAEwcAAAAFgAZHBkcJgAcFQwZFQYZGAhkYXRhYmFz"
    "ZRUAFgAWABYAJgBJDAAAFgAWACYAFgAAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRkcHAAAAH4A"
    "AABQQVIx"
)


def main(container: Container, task: Payload) -> None:
    """Leave the index in the output file.

    The task's `kwargs` are `name`, the dataframe's, `label`, the database's, and `for_one_run`.

    Raises
    ------
    CarrierError
        If the database cannot be copied.
    """
    kwargs = task.fields["kwargs"] or {}
    name, label = kwargs.get("name"), kwargs.get("label")
    if not (isinstance(name, str) and name.replace("-", "").replace("_", "").isalnum()):
        raise CarrierError(f"The function extract cannot have {name!r} as name.")
    if not isinstance(label, str):
        raise CarrierError(f"The function extract cannot have {label!r} as label.")
    if "" not in container.databases:
        raise CarrierError("Databases are extracted in a session of vantage6 5 only.")
    source = container.databases[""]
    keep(container.shared_folder, name, label, source, kwargs.get("for_one_run") is True)
    container.output_file.write_bytes(b64decode(_INDEX))
