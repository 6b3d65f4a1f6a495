"""A vantage6 5 algorithm of the standard library alone, which tells how it is where it runs."""

import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from base64 import b32decode, b64decode, b64encode, urlsafe_b64decode
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen


def variable(name: str) -> str:
    """Return an environment variable as the node meant it."""
    return b32decode(os.environ[name].replace("!", "=")).decode()


def call(path: str, body: object = None) -> Any:
    """Return what HQ answers, by way of the node's proxy."""
    headers = {"Authorization": f"Bearer {os.environ['CONTAINER_TOKEN']}"}
    if body is not None:  # the proxy refuses a GET with a content type
        headers["Content-Type"] = "application/json"
    request = Request(  # noqa: S310
        f"{variable('HOST')}:{variable('PORT')}{variable('API_PATH')}/{path}",
        None if body is None else json.dumps(body).encode(),
        headers,
    )
    with urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def extract() -> None:
    """Keep the database as it is in the session's folder; its table has nothing of it."""
    source = Path(variable("DATABASE_URI"))
    shutil.copyfile(source, Path(variable("SESSION_FOLDER"), f"raw{source.suffix}"))
    shutil.copyfile("/index.parquet", variable("OUTPUT_FILE"))


def look() -> dict[str, Any]:
    """Say what is here."""
    folder = Path(variable("SESSION_FOLDER"))
    raw = folder / "raw.csv"
    return {
        "table": raw.read_text().splitlines() if raw.exists() else None,
        "dataframes": variable("USER_REQUESTED_DATAFRAMES"),
        "greeting": variable("GREETING") if "GREETING" in os.environ else None,
        "action": variable("FUNCTION_ACTION"),
        "token": "CONTAINER_TOKEN" in os.environ,
    }


def reaches(host: str) -> bool:
    """Say whether there is a way to a host; that there is none shows after some seconds only."""
    try:
        socket.create_connection((host, 443), timeout=2).close()
    except OSError:
        return False
    return True


def ask(organizations: list[int], method: str = "look", **arguments: object) -> list[Any]:
    """Have a function run at organizations, one after the other; returns what they say."""
    return [result(subtask(each, method, **arguments)) for each in organizations]


def at_once(organization: int, count: int, seconds: float) -> list[str]:
    """Have several runs at one organization, and give them time; returns the runs' statuses."""
    tasks = [subtask(organization, "look") for _ in range(count)]
    time.sleep(seconds)
    return [call(f"run?task_id={task}")["data"][0]["status"] for task in tasks]


def move(station: int, size: int, times: int) -> list[float]:
    """Send bytes to a station and have as many back; returns the seconds that each took.

    A node looks once a second for jobs that have ended. One subtask at once after another always
    comes at the same moment of that second, the best one: so some time passes in between.
    """
    load = b64encode(os.urandom(size)).decode()
    seconds = []
    for _ in range(times):
        time.sleep(random.random())  # noqa: S311
        start = time.monotonic()
        b64decode(result(subtask(station, "echo", load=load))["load"])
        seconds.append(time.monotonic() - start)
    return seconds


def echo(load: str = "") -> dict[str, str]:
    """Return what comes; its bytes are looked at, as any algorithm would."""
    return {"load": b64encode(b64decode(load)).decode()}


def subtask(organization: int, method: str, **arguments: object) -> int:
    """Create a task for an organization; returns its id."""
    part = os.environ["CONTAINER_TOKEN"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(part + "=="))["sub"]
    text = json.dumps(arguments)
    text += " " * (len(text) % 3 == 0)  # HQ on Python 3.13 refuses other sealed texts
    task = call(
        "task",
        {
            "name": method,
            "image": claims["image"],
            "method": method,
            "action": "federated_compute",
            "collaboration_id": claims["collaboration_id"],
            "session_id": claims["session_id"],
            "organizations": [{"id": organization, "arguments": b64encode(text.encode()).decode()}],
        },
    )
    return int(task["id"])


def result(task: int) -> Any:
    """Wait until a subtask has ended; returns its result."""
    while not (runs := call(f"run?task_id={task}&finished_till=9999-12-31")["data"]):
        time.sleep(0.2)
    assert runs[0]["status"] == "completed", runs[0]["status"]
    (found,) = call(f"result?task_id={task}")["data"]
    return json.loads(b64decode(found["result"]))


def hold() -> None:
    """Stay until killed; say so on SIGTERM."""

    def end(*_: object) -> None:
        Path(variable("SESSION_FOLDER"), f"ended-{variable('TASK_ID')}").touch()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    Path(variable("SESSION_FOLDER"), f"holding-{variable('TASK_ID')}").touch()
    while True:
        time.sleep(60)


def crash() -> None:
    """Leave something, and fail."""
    Path(variable("OUTPUT_FILE")).write_text(json.dumps("left before the crash"))
    print("line 1\nline 2")
    with Path(variable("SESSION_FOLDER"), f"crashes-{variable('TASK_ID')}").open("a") as tries:
        tries.write("x")
    sys.exit(1)


if __name__ == "__main__":
    given = json.loads(Path(variable("INPUT_FILE")).read_bytes() or b"{}")
    answer = globals()[variable("ALGORITHM_METHOD")](**given)
    if answer is not None:
        Path(variable("OUTPUT_FILE")).write_text(json.dumps(answer))
