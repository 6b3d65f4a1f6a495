"""Run in the image of vantage6 5: HQ, as its own image runs it, but without uWSGI.

    serve_hq.py CONFIG PORT

It listens at this machine's own address only. Containers of an internal network reach whatever
listens at all addresses of their host, and in production they do not reach HQ.
"""

import sys


def main(config: str, port: str) -> None:
    """Serve until killed."""
    from vantage6.cli.context.hq import HQContext  # noqa: PLC0415
    from vantage6.hq import Database, HQApp  # noqa: PLC0415

    context = HQContext.from_external_config_file(config, system_folders=False, in_container=True)
    Database().connect(uri=context.get_database_uri(), allow_drop_all=False)
    hq = HQApp(context)
    hq.ensure_db_initialized()
    hq.socketio.run(hq.app, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
