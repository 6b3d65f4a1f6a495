"""Run by `.venv-vantage6`: the server as vantage6's own image runs it, but without uWSGI.

    run_server.py CONFIG PORT

It listens at this machine's own address only. Containers of an internal network reach whatever
listens at all addresses of their host, and in production they do not reach the server.
"""

import enum
import sys


def main(config: str, port: str) -> None:
    """Serve until killed."""
    # vantage6-server 4.15.2 puts members of str enums into f-strings and expects their values, as
    # up to Python 3.10 (its image has that); since 3.11 that gives the member's name.
    enum.Enum.__format__ = lambda member, spec: format(  # type: ignore[assignment, method-assign]
        member.value if isinstance(member, str) else str(member), spec
    )
    from vantage6.server import run_dev_server, run_server  # noqa: PLC0415

    run_dev_server(run_server(config, system_folders=False), "127.0.0.1", int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
