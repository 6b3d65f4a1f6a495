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

from proxy.carriers import payload
from proxy.carriers.container import Container
from proxy.errors import BridgeError, CarrierError

FUNCTIONS = ("courier", "host", "per_round")


def main() -> int:
    """Run the function that the container's input names; returns the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        container = Container.from_environment(os.environ)
        with payload.read(container.input_file) as task:
            method = task.fields.get("method")
            if method not in FUNCTIONS:
                raise CarrierError(
                    f"There is no function {method!r}.", f"There are: {', '.join(FUNCTIONS)}."
                )
            importlib.import_module(f"algorithm.{method}").main(container, task)
    except BridgeError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
