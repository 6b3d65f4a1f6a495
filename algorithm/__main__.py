"""The program in the container: calls the function that the input file names.

Every function is a module of this package with
`main(container: Container, payload: Payload) -> None`; it is imported only when it is called,
because a courier must not wait for imports that only a host needs. Whatever goes wrong, an error is
the result: who waits for it may not see the log.
"""

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from proxy.calls import AskCall, CourierCall, EndCall, ExtractCall, HostCall, PerRoundCall
from proxy.contracts import container_of
from proxy.errors import BridgeError, CarrierError
from proxy.system.malloc import give_back_large_blocks
from proxy.system.private import keep_private
from proxy.system.streams import ready_streams
from proxy.text import block, one_line
from proxy.vantage6 import payload
from proxy.vantage6.container import decoded

_WITHOUT_DATA = "central"
_CALLS = (CourierCall, HostCall, PerRoundCall, AskCall, EndCall, ExtractCall)
FUNCTIONS = (_WITHOUT_DATA, *(call.method for call in _CALLS))
_WITHOUT_LOG = (CourierCall.method, AskCall.method)


def main() -> int:
    """Run the function that the container's input names; returns the exit code."""
    ready_streams()
    keep_private()
    give_back_large_blocks()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    container, method = None, None
    try:
        container = container_of(os.environ)
        if container.platform.encodes_environment:
            os.environ.update(decoded(os.environ))  # for the policy, and for the app
        with payload.read(container.input_file) as task:
            if container.method:
                task.fields = {"method": container.method, "kwargs": task.fields}
            method = task.fields.get("method")
            if method not in FUNCTIONS:
                raise CarrierError(
                    f"The task names the function {method!r}, which does not exist.",
                    f"There are: {', '.join(FUNCTIONS)}.",
                )
            if method != _WITHOUT_DATA:
                container.check_databases()
            if method not in _WITHOUT_LOG:
                importlib.import_module("proxy.system.logs").log_to_stdout()
            importlib.import_module(f"algorithm.functions.{method}").main(container, task)
    except (BridgeError, OSError) as error:
        code = getattr(error, "code", "system")
        text = block(str(error))
    except Exception as error:
        code = "internal"
        # Its text may tell of the data: that stays in the log.
        importlib.import_module("proxy.system.logs").log_internal_error()
        text = f"An internal error ended the function: {type(error).__name__}; its log says more."
    else:
        return 0
    if container is not None:
        _leave_error(container.output_file, text, code, method)
    # Where people look first: the log's last line, in the same stream as all others.
    print(f"flower-v6 | failed: {one_line(text)}", flush=True)
    return 1 if container is None else container.platform.failed_exit_code


def _leave_error(path: Path, text: str, code: str, method: object) -> None:
    """Leave an error as the result, unless there is one already."""
    with suppress(OSError, CarrierError):
        if not path.exists() or not path.stat().st_size:
            fields: dict[str, object] = {"error": text, "code": code}
            if method == _WITHOUT_DATA:
                result = importlib.import_module("algorithm.functions.result")
                fields = {**result.refusal(text), "code": code}
            payload.write(path, fields)


if __name__ == "__main__":
    sys.exit(main())
