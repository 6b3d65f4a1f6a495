"""Flower's own SuperNode at a data station, behind nginx: as docs/lanes.md tells operators to."""

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from algorithm.flower.environment import Flower
from integration_tests.harness import Federation, flower_v6, free_port, run_on, superlink
from integration_tests.lanes import needed, served
from integration_tests.test_authentication import SecureFlower, make_certificate, register
from integration_tests.test_results import values
from proxy.system.process import Process

pytestmark = pytest.mark.thorough
PAGE = Path(__file__).parents[1] / "docs" / "lanes.md"
NGINX, NGINX_STREAM = "/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_stream_module.so"
NAMES = ("station-1", "station-2")


@contextmanager
def pass_through(folder: Path, port: int, superlink: str) -> Iterator[None]:
    """The page's nginx, until the end: what comes at a port goes to the SuperLink as it is."""
    needed(NGINX, "Debian's nginx-light")
    needed(NGINX_STREAM, "Debian's libnginx-mod-stream")
    (block,) = re.findall(r"```nginx\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert block.count("listen 443;") == block.count("proxy_pass 10.0.0.5:9092;") == 1
    config = block.replace("listen 443;", f"listen 127.0.0.1:{port};")
    config = config.replace("proxy_pass 10.0.0.5:9092;", f"proxy_pass {superlink};")
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(config)
    # A SuperLink of the tests lets nobody in but its own user.
    here = f"daemon off; pid {folder}/pid; error_log stderr; user {getpass.getuser()};"
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", here]
    with served(command, f"127.0.0.1:{port}", folder / "log"):
        yield


@pytest.fixture
def secure(flower: Flower, tmp_path: Path) -> Iterator[Federation]:
    """A SuperLink with TLS that knows two stations by the keys that `flower-v6 keys` made."""
    make_certificate(tmp_path)
    with superlink(SecureFlower(flower.folder, tmp_path), tmp_path / "federation") as federation:
        made = flower_v6("keys", *NAMES, "stranger", "--output", str(tmp_path / "keys"))
        assert made.returncode == 0, made.stderr
        for name in NAMES:
            register(federation, tmp_path / "keys" / f"{name}.pub")
        yield federation


def supernode(federation: Federation, name: str, number: int, port: int) -> Process:
    """Start a SuperNode as the page says."""
    folder = federation.folder.parent
    home = folder / name
    home.mkdir()
    command = federation.flower.command(
        *("flower-supernode", "--superlink", f"127.0.0.1:{port}"),
        *("--root-certificates", str(folder / "cert.pem")),
        *("--auth-supernode-private-key", str(folder / "keys" / name)),
        *("--node-config", f"partition-id={number} num-partitions={len(NAMES)}"),
        *("--port", str(free_port())),
    )
    environment = {**os.environ, **federation.flower.environment(home)}
    return Process(command, environment, folder / f"{name}.log")


def test_native_supernodes_with_keys_of_their_own_work_through_a_pass_through_that_restarts(
    secure: Federation, tmp_path: Path
) -> None:
    port = free_port()
    with ExitStack() as stack:
        with pass_through(tmp_path / "nginx", port, secure.address):
            for number, name in enumerate((*NAMES, "stranger")):
                stack.callback(supernode(secure, name, number, port).stop)
            (before,) = run_on([secure], "stateful", ".json", num_server_rounds=1)
        with pass_through(tmp_path / "nginx", port, secure.address):
            (after,) = run_on([secure], "stateful", ".json", num_server_rounds=1)
    expected = {"train": {"1": [1, 1]}, "evaluate": {"1": [2, 2]}}
    assert values(before) == values(after) == expected
