"""The algorithm stores of a collaboration: which of them has an image.

A task whose image was looked up in a store is shown with its tables and its chart; others are not.
Source: vantage6 4.15 and 5.0.3, `algorithm/store/resource/algorithm.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from proxy import strict_json
from proxy.errors import ServerUnreachable, Vantage6Error
from proxy.vantage6.login import PLAIN, bearer, content_of, reason
from proxy.vantage6.server import Server

_TIMEOUT_SECONDS = (5.0, 60.0)
_MOST_ANSWER_BYTES = 4 << 20


@dataclass(frozen=True)
class Store:
    """An algorithm store, as a vantage6 server knows it; `url` is where its API is."""

    id: int
    name: str
    url: str


def stores_of(server: Server, collaboration: int) -> list[Store]:
    """Return the algorithm stores of a collaboration; users may ask."""
    answer = server.all("algorithmstore", collaboration_id=collaboration)
    with server.understanding():
        return [Store(int(store["id"]), str(store["name"]), _address(store)) for store in answer]


def _address(store: Mapping[str, Any]) -> str:
    # In 5.0.3 the API's path is a member of its own (`hq/model/algorithm_store.py`).
    return f"{str(store['url']).rstrip('/')}{store.get('api_path') or ''}".rstrip("/")


def has_image(store: Store, server: Server, image: str) -> bool:
    """Ask a store whether it has an image, with the digest that the image's registry says now.

    The user's token goes to the store only if it does not answer without. When a task names the
    store, the server sends it there, too (`algo_store_communication.py` of server or HQ).

    Raises
    ------
    ServerUnreachable
        If the store does not answer.
    Vantage6Error
        If it refuses, or has the image with another digest.
    """
    status, answer = _ask(store, server, image, _anonymous)
    # One that wants to know who asks answers with 401, or with 500 (4.15.2).
    if status != HTTPStatus.OK:
        status, answer = _ask(store, server, image, bearer(server.token))
    try:
        if status == HTTPStatus.OK:
            return bool(answer["data"])
        message = str(answer["msg"])
    except (LookupError, TypeError) as error:
        raise Vantage6Error(f"{store.url} is no algorithm store: {error!r:.200}.") from error
    raise Vantage6Error(f"The algorithm store {store.name} refuses: {message.rstrip('.')}.")


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Say nothing of who asks, whatever a .netrc file says of the host."""
    return request


def _ask(
    store: Store,
    server: Server,
    image: str,
    auth: Callable[[requests.PreparedRequest], requests.PreparedRequest],
) -> tuple[int, Any]:
    """Return the status and the JSON that a store answers with."""
    try:
        with requests.get(
            f"{store.url}/algorithm",
            params={"image": image},
            headers={**PLAIN, "Server-Url": server.url},
            auth=auth,
            stream=True,
            timeout=_TIMEOUT_SECONDS,
        ) as response:
            return response.status_code, strict_json.loads(content_of(response, _MOST_ANSWER_BYTES))
    except requests.RequestException as error:
        raise ServerUnreachable(
            f"The algorithm store {store.name} at {store.url} does not answer: {reason(error)}."
        ) from error
    except ValueError as error:
        raise Vantage6Error(f"{store.url} is no algorithm store: {error!r:.200}.") from error
