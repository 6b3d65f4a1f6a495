"""The stack for use by hand: `python -m integration_tests.vantage6_5 up FOLDER`.

It stays until Ctrl-C or SIGTERM. FOLDER/stack.json says where everything is, and who may log in.
"""

import argparse
import json
import signal
from pathlib import Path
from typing import Any

from integration_tests.vantage6_5.keycloak import USERS_CLIENT
from integration_tests.vantage6_5.stack import Collaboration, Stack, running_stack


def main() -> None:
    """Start what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start HQ, two nodes per collaboration, and stand-ins")
    up.add_argument("folder", type=Path, help="where stack.json is written")
    up.add_argument(
        "--ends-every",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="show that jobs ended only every so often, so that the node loses results",
    )
    up.add_argument(
        "--unseen",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="show that a pod runs only so long after its start",
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options.folder.mkdir(parents=True, exist_ok=True)
    with running_stack() as stack:
        stack.cluster.ends_every = options.ends_every
        stack.cluster.unseen_seconds = options.unseen
        for collaboration in (stack.plain, stack.encrypted):
            collaboration.start(2)
        text = json.dumps(_about(stack), indent=2)
        (options.folder / "stack.json").write_text(text)
        print(text, flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("ending", flush=True)


def _about(stack: Stack) -> dict[str, Any]:
    plain = stack.plain
    return {
        "hq": stack.hq.url,
        "keycloak": stack.keycloak.realm.url,
        "realm": stack.keycloak.realm.name,
        "device flow's client": USERS_CLIENT,
        "to approve a device": "GET verification_uri_complete&username=researcher (or &deny=yes)",
        "users": {each.username: each.secret for each in (plain.researcher, plain.colleague)},
        "service account": {
            "client_id": f"{plain.robot.username}-user-client",
            "client_secret": plain.robot.secret,
        },
        "collaborations": [_of(each) for each in (stack.plain, stack.encrypted)],
        "session": stack.session,
        "folder": str(stack.folder),
    }


def _of(collaboration: Collaboration) -> dict[str, Any]:
    return {
        "id": collaboration.id,
        "name": collaboration.name,
        "private key of the first organization": str(collaboration.private_key or ""),
        "organizations": [
            {
                "id": node.organization.id,
                "name": node.organization.name,
                "node": node.name,
                "tasks": str(node.tasks),
                "databases": {name: str(path) for name, path in node.settings.databases.items()},
            }
            for node in collaboration.nodes
        ],
    }


if __name__ == "__main__":
    main()
