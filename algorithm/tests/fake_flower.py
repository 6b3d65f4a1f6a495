"""An environment that looks like one with Flower in it, and whose programs do as they are told."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from algorithm.flower.environment import Flower

# Answers every Fleet call as if all were well, and never has a message. Many tests start one, and
# to import `http.server` alone would take it longer than all else.
SUPERLINK = f"""#!{sys.executable} -IS
import os, socketserver, sys

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while request := self.rfile.readline():
            path, size = request.split()[1].decode(), 0
            while (line := self.rfile.readline().strip()):
                name, _, value = line.partition(b":")
                size = int(value) if name.lower() == b"content-length" else size
            self.rfile.read(size)
            with open(os.environ["FLWR_HOME"] + "/calls", "a") as calls:
                calls.write(path + "\\n")
            answer = b"\\x08\\x07" if path.endswith("-node") else b""
            head = f"HTTP/1.1 200 OK\\r\\ncontent-length: {{len(answer)}}\\r\\n\\r\\n"
            self.wfile.write(head.encode() + answer)

socketserver.ThreadingTCPServer.allow_reuse_address = True
address = dict(zip(sys.argv[1:], sys.argv[2:]))
server = socketserver.ThreadingTCPServer((address["--host"], int(address["--port"])), Handler)
with open(os.environ["FLWR_HOME"] + "/superlink.pid", "w") as file:
    file.write(str(os.getpid()))
server.serve_forever()
"""
# Answers every message with the message's own content.
SUPERNODE = f"""#!{sys.executable}
import os, sys
from proxy.transport.http import HttpTransport
from proxy.testing import FakeSuperNode

with open(os.environ["FLWR_HOME"] + ".pid", "w") as file:
    file.write(str(os.getpid()))
options = dict(zip(sys.argv[1:], sys.argv[2:]))
with open(options["--node-config"]) as file:
    print("node config:", file.read(), flush=True)
transport = HttpTransport(options["--superlink"])
supernode = FakeSuperNode(lambda method, request, _: transport.call(method, request), lambda c: c)
supernode.start()
while True:
    supernode.work()
"""
FLWR = """#!/bin/sh
folder=${0%/*}
case $1 in
    run) echo "$@" > "$folder/arguments"; cp -r "$2" "$folder/app"; . "$folder/run";;
    ls) cat "$folder/runs";;
    build) . "$folder/build";;
esac
"""
# Knows its flwr's release, and runs programs: as they are, without the guard, which takes longer to
# start than all else.
PYTHON = """#!/bin/sh
if [ "${{1##*/}}" = guard.py ]; then
    shift
    [ "${{1##*/}}" = run_superlink.py ] && shift
    exec "$@"
fi
echo {release}
"""
# Tells its release; else it is the interpreter that it seems to be.
INTERPRETER = f"""#!/bin/sh
case $1 in
    -I) echo 1.41.0;;
    *) exec {sys.executable} "$@";;
esac
"""
COMPLETED = {"run-id": "42", "status": "finished:completed"}


def make_flower(
    folder: Path,
    release: str = "1.41.0",
    superlink: str = SUPERLINK,
    supernode: str = SUPERNODE,
    build: str = 'cp "$folder/a.fab" .',
) -> Path:
    """Make the environment; its run completes unless `set_run` says otherwise.

    `build` is what `flwr build` does, as shell commands; else the app has one file.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name, program in (
        ("python", PYTHON.format(release=release)),
        ("flower-supernode", supernode),
        ("flower-superlink", superlink),
        ("flwr", FLWR),
    ):
        (programs / name).write_text(program)
        (programs / name).chmod(0o755)
    (programs / "build").write_text(build)
    with zipfile.ZipFile(programs / "a.fab", "w") as fab:
        fab.writestr("app.py", "server = client = None\n")
    set_run(folder, "echo loading; echo training", [COMPLETED])
    return folder


def flower_that_takes(folder: Path, *names: str) -> Flower:
    """Return a Flower whose builder takes only the files of these names."""
    with zipfile.ZipFile(folder / "a.fab", "w") as fab:
        for name in names:
            fab.writestr(name, "")
    return Flower(make_flower(folder / "flower", build=f'cp "{folder}/a.fab" .'))


def set_run(folder: Path, script: str, runs: list[dict[str, Any]] | str) -> None:
    """Say what `flwr run` does, and what `flwr ls` prints afterwards."""
    listing = runs if isinstance(runs, str) else json.dumps({"success": True, "runs": runs})
    (folder / "bin" / "run").write_text(script)
    (folder / "bin" / "runs").write_text(listing)


def make_app(folder: Path) -> Path:
    """Make what passes for a Flower app."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\n'
        '[tool.flwr.app.components]\nserverapp = "app:server"\nclientapp = "app:client"\n'
    )
    (folder / "app.py").write_text("server = client = None\n")
    return folder
