"""The program in the container: calls the function that the input file names.

Every function is a module of this package with
`main(container: Container, payload: Payload) -> None`; it is imported only when it is called,
because a courier must not wait for imports that only a host needs.
"""

import importlib
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from proxy.carriers import payload
from proxy.carriers.container import Container, decoded
from proxy.errors import BridgeError, CarrierError
from proxy.streams import ready_streams
from proxy.text import LogFormatter, block

FUNCTIONS = ("central", "courier", "host", "per_round")
_WITHOUT_DATA = "central"


def main() -> int:
    """Run the function that the container's input names; returns the exit code."""
    ready_streams()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    container = None
    try:
        container = Container.from_environment(os.environ)
        if container.token_file is not None:
            os.environ.update(decoded(os.environ))  # for the policy, and for the app
        with payload.read(container.input_file) as task:
            method = task.fields.get("method")
            if method not in FUNCTIONS:
                raise CarrierError(
                    f"The task names the function {method!r}, which does not exist.",
                    f"There are: {', '.join(FUNCTIONS)}.",
                )
            if method != _WITHOUT_DATA:
                container.check_databases()
            importlib.import_module(f"algorithm.{method}").main(container, task)
    except (BridgeError, OSError) as error:
        # In the result, too: the other side reads it there, also when it may not see the log.
        print(block(f"{getattr(error, 'code', 'system')}: {error}"), file=sys.stderr)
        if container is not None:
            _leave_error(container.output_file, block(str(error)))
        return 1
    return 0


def _leave_error(path: Path, text: str) -> None:
    """Leave an error as the result, unless there is one already."""
    with suppress(OSError):
        if not path.exists() or not path.stat().st_size:
            payload.write(path, {"error": text})


if __name__ == "__main__":
    sys.exit(main())
