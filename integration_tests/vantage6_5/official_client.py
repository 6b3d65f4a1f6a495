"""Run in the image of vantage6 5, by its own client: log in, and have a task done.

    official_client.py HQ KEYCLOAK USERNAME SECRET COLLABORATION KEY IMAGE ORGANIZATION

SECRET is empty for a user, who logs in by device flow; KEY for an unencrypted collaboration. Prints
one line of JSON: who it thinks it is, and the result or why there is none.
"""

import json
import sys
import webbrowser
from pathlib import Path
from typing import Any


def main(
    hq: str,
    keycloak: str,
    username: str,
    secret: str,
    collaboration: str,
    key: str,
    image: str,
    organization: str,
) -> dict[str, Any]:
    """Return what is printed."""
    import requests  # noqa: PLC0415
    from vantage6.client import UserClient  # noqa: PLC0415

    client = UserClient(hq_url=hq, auth_url=keycloak, log_level="critical")
    if secret:
        client.initialize_service_account(secret, username)
        client.authenticate_service_account()
    else:
        # What the user does in a browser: enter the code, and log in.
        webbrowser.open = lambda url, *_: bool(
            requests.get(f"{url}&username={username}", timeout=60)
        )
        client.authenticate()
    me = client.whoami and client.whoami.name
    try:
        client.setup_encryption(Path(key) if key else None)
    except Exception as error:
        return {"me": me, "error": repr(error)}
    session = client.session.create(
        collaboration=int(collaboration), name=f"of {username} in {collaboration}", scope="own"
    )
    task = client.task.create(
        organizations=[int(organization)],
        name="look",
        image=image,
        description="",
        method="look",
        arguments={},
        session=session["id"],
        collaboration=int(collaboration),
        action="federated_compute",
    )
    (result,) = client.wait_for_results(task["id"])["data"]
    return {"me": me, "result": result["result"]}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
