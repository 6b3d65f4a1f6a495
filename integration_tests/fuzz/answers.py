"""Answers of a server that is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from unittest.mock import patch

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse


@contextmanager
def answering(data: bytes) -> Iterator[None]:
    """Have whatever is asked answered by an input.

    It may begin with a line that has status and encoding: "404 gzip". What follows is the body.
    """
    head, _, body = data.partition(b"\n")
    status, _, encoding = head.partition(b" ")
    if not (status.isdigit() and len(status) == len("200")):
        status, encoding, body = b"200", b"", data
    with patch.object(HTTPAdapter, "send", _sender(int(status), encoding, body)):
        yield


def _sender(status: int, encoding: bytes, body: bytes) -> object:
    def send(_: HTTPAdapter, request: requests.PreparedRequest, **__: object) -> requests.Response:
        headers = {"Content-Encoding": "gzip"} if encoding == b"gzip" else {}
        raw = HTTPResponse(BytesIO(body), headers, status, preload_content=False)
        response = requests.Response()
        response.status_code, response.raw, response.request = status, raw, request
        response.headers.update(headers)
        response.url = request.url or ""
        response.reason = "so it is"
        return response

    return send
