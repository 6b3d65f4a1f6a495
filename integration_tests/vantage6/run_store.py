"""Run by `.venv-vantage6`: an algorithm store as vantage6's own image runs it, but without uWSGI.

    run_store.py CONFIG PORT

Images of tests are in no registry that could be asked for their digests. Here an image's digest
follows from its name.
"""

import hashlib
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server


class Threads(ThreadingMixIn, WSGIServer):
    """Answers several requests at once."""

    daemon_threads = True


def main(config: str, port: str) -> None:
    """Serve until killed."""
    from vantage6.common.docker import addons  # noqa: PLC0415

    # Others import this function by name, so it is replaced before they do.
    addons.get_digest = lambda image: f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
    from vantage6.algorithm.store import run_server  # noqa: PLC0415

    # Its own `run_dev_server` asks for a socket that a store does not have (4.15.2). Other servers
    # than this one and uWSGI drop the header `server_url`, which vantage6's server sends.
    application = run_server(config, system_folders=False).app
    make_server("127.0.0.1", int(port), application, server_class=Threads).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
