"""Run in the image of vantage6 5: an algorithm store, as its own image runs it, but without uWSGI.

    serve_store.py CONFIG PORT

Images of tests are in no registry that could be asked for their digests. Here an image's digest
follows from its name.
"""

import hashlib
import sys


def main(config: str, port: str) -> None:
    """Serve until killed."""
    from gevent.pywsgi import WSGIServer  # noqa: PLC0415
    from vantage6.algorithm.store import run_store  # noqa: PLC0415
    from vantage6.algorithm.store.resource import algorithm  # noqa: PLC0415

    algorithm.resolve_image_digest = lambda image, _: (
        image,
        f"sha256:{hashlib.sha256(image.encode()).hexdigest()}",
    )
    store = run_store(config, system_folders=False)
    store.ensure_db_initialized()
    WSGIServer(("127.0.0.1", int(port)), store.app, log=None).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
