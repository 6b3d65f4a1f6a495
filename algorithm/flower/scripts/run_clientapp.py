"""Answers messages with a Flower ClientApp. A script for Flower's own interpreter, Python 3.9+.

    python run_clientapp.py FD

It imports nothing of the bridge but `frames.py`. FD is one end of a socket pair, over which pass
frames. To this script come

    S  first, once: JSON with `names` ("module:name" of what is used of Flower, by role), `node_id`,
       `node_config` (as for `flower-supernode`), `max_message_bytes` and what P has
    P  JSON with `modules` and `environ`: imports the modules, in an environment with those
       variables
    T  a message: JSON with `context` (the path of the file that keeps its Context) and `coming`
       (where the one after this message is kept, if it changes: the bridge puts it in the place of
       the other when the reply is complete), followed by
    F  its app (FAB),
    R  its run (an encoded Run), and
    M  the message itself (an encoded Message)

and back come, for each T,

    A  JSON with `seconds`, what the ClientApp took; the `modules` that it imported and the
       `environ` that it set; `state_lost`, whether its Context was there but damaged, so that it
       began with a new one; and `again`, whether this script takes another message; followed by
    M  the reply (an encoded Message, without an id)

A ClientApp finds what it finds in Flower: a new process for each message, in which no app has been
imported yet. It is forked from this one, which imports what it has seen ClientApps import: the
libraries, never the app. So an app's own modules run anew for each message, and whatever it does
to its process (global variables, random numbers, `sys.exit`) ends with it.

When a ClientApp ends its process without a reply, this script ends, too, with the same exit code.
Where a library keeps threads running, a fork would not be safe: then this process answers one
message itself, and ends.

Source: flwr 1.20 to 1.42, `flwr/supernode/runtime/run_clientapp.py`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The bridge's modules are not for apps.
    sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import atexit
import contextlib
import gc
import hashlib
import importlib
import importlib.util
import io
import json
import logging
import os
import select
import signal
import site
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

# How long a ClientApp that has replied may take to end before the next one starts.
_GRACE_SECONDS = 3.0
# How often to look whether a child has ended; that it has replied is noticed at once.
_LOOK_SECONDS = 0.02
_DIGEST_BYTES = hashlib.sha256().digest_size
# A message is read from the pipe in such pieces; a larger one is read at once.
_READ_BYTES = 1 << 16
# The folders in which libraries are: Python's own, and those that are installed.
_LIBRARIES = (f"{Path(os.__file__).parent}/", *(f"{folder}/" for folder in site.getsitepackages()))


def _load_frames() -> Any:
    """Load the part that both scripts share; an app's own `frames` is another module."""
    path = Path(__file__).with_name("frames.py")
    spec = importlib.util.spec_from_file_location("_flower_v6_frames", path)
    assert spec is not None  # noqa: S101 - it is a path
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


frames = _load_frames()


def main() -> int:
    """Answer messages until the other end closes the pipe; returns the exit code."""
    pipe = socket.socket(fileno=int(sys.argv[1]))
    start = _json_in(pipe, b"S")
    flower = SimpleNamespace(**{role: _resolve(name) for role, name in start["names"].items()})
    _preload(start)
    forks = _may_fork()
    earlier = None
    while kind := pipe.recv(1, socket.MSG_PEEK):
        if kind == b"P":
            _preload(_json_in(pipe, b"P"))
            forks = _may_fork()
            continue
        if not forks:
            _answer(flower, start, pipe, again=False)
            return 0
        if earlier is not None:
            _end(earlier)
        gc.freeze()  # else a child's garbage collector copies what is shared with this process
        has_replied, replied = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.setsid()
            _draw_new_random_numbers()
            _answer(flower, start, pipe, again=True)
            os.write(replied, b"!")
            _leave()
        os.close(replied)
        answered = _await_reply(has_replied, child)
        os.close(has_replied)
        if not answered:
            return _end(child)
        earlier = child
    return 0


def _leave() -> NoReturn:
    """End a child as a program ends, but without freeing the objects that are the parent's, too.

    As Python's own `multiprocessing` does: to free all objects takes seconds after a fork.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _await_reply(has_replied: int, child: int) -> bool:
    """Wait until a child says that it has replied, or has ended; returns whether it has replied."""
    ended = False
    while not ended:
        ended = _has_ended(child)
        if select.select([has_replied], [], [], 0.0 if ended else _LOOK_SECONDS)[0]:
            return bool(os.read(has_replied, 1))
    return False


def _has_ended(child: int) -> bool:
    """Whether a child has ended; it is left to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> int:
    """End a child with all in its session; returns its exit code, 128 + N for signal N."""
    give_up = time.monotonic() + _GRACE_SECONDS
    while not _has_ended(child) and time.monotonic() < give_up:
        time.sleep(_LOOK_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _may_fork() -> bool:
    """Whether a child would have all that it needs: there is no thread but this one.

    Some libraries end theirs when a process forks, and start them anew when they are needed, so
    that is tried first.
    """
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return len(list(Path("/proc/self/task").iterdir())) == 1


def _draw_new_random_numbers() -> None:
    """Let NumPy's global generator start from somewhere else than that of other processes.

    Python's does so by itself when a process is forked, and PyTorch's starts from the same number
    in every process.
    """
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _answer(flower: Any, start: Mapping[str, Any], pipe: socket.socket, again: bool) -> None:
    """Answer the message that is coming through the pipe; `again`: whether another may come."""
    known, environ = set(sys.modules), dict(os.environ)
    with pipe.makefile("rb", _READ_BYTES) as file:
        task = json.loads(frames.receive_one(file, b"T").rest())
        fab = frames.receive_one(file, b"F").rest()
        run = flower.run_from_proto(
            flower.ProtoRun.FromString(frames.receive_one(file, b"R").rest())
        )
        message = frames.decoded(flower, frames.receive_one(file, b"M"))
    began = time.monotonic()
    if hasattr(flower, "TaskIdentity"):
        flower.TaskIdentity.run_id = run.run_id
        flower.TaskIdentity.node_id = start["node_id"]
        flower.TaskIdentity.task_id = message.metadata.dst_task_id or 0
    state_lost, kept, coming = False, Path(task["context"]), Path(task["coming"])
    try:
        app = _installed(flower, fab)
        context, state_lost = _context(flower, start, run, app, kept)
        reply = _call(flower, run, message, context, kept, coming)
        encoded = _encoded(flower, reply, start["max_message_bytes"])
    except Exception as error:
        logging.getLogger("flwr").error("ClientApp raised an exception", exc_info=error)
        code, reason = flower.ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"{type(error)}:<'{error}'>"
        if isinstance(error, flower.LoadClientAppError):
            code = flower.ErrorCode.LOAD_CLIENT_APP_EXCEPTION
            reason = "An exception was raised when attempting to load `ClientApp`"
        reply = flower.Message(flower.Error(code=code, reason=reason), reply_to=message)
        encoded = _encoded(flower, reply, start["max_message_bytes"])
    account = {
        "seconds": time.monotonic() - began,
        "modules": [
            name
            for name in list(sys.modules)
            if name not in known and _is_library(name, environ["FLWR_HOME"])
        ],
        "environ": {
            name: value for name, value in os.environ.items() if environ.get(name) != value
        },
        "state_lost": state_lost,
        "again": again,
    }
    frames.send(pipe, b"A", [json.dumps(account).encode()])
    frames.send(pipe, b"M", encoded)


def _context(
    flower: Any, start: Mapping[str, Any], run: Any, app: Path, kept: Path
) -> tuple[Any, bool]:
    """Return the ClientApp's Context, and whether the file that kept it is damaged."""
    encoded, damaged = _kept(kept)
    if encoded is not None:
        return flower.context_from_proto(flower.ProtoContext.FromString(encoded)), False
    context = flower.Context(
        run_id=run.run_id,
        node_id=start["node_id"],
        node_config=flower.parse_config_args([start["node_config"]]),
        state=flower.RecordDict(),
        run_config=flower.get_fused_config_from_dir(app, run.override_config),
    )
    return context, damaged


def _call(flower: Any, run: Any, message: Any, context: Any, kept: Path, coming: Path) -> Any:
    """Return the ClientApp's reply; its Context is kept, also when it raises an exception."""
    load = flower.get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
    client_app = load(run.fab_id, run.fab_version, run.fab_hash)
    process = os.getpid()
    try:
        reply = client_app(message=message, context=context)
    except Exception:
        _end_copy_of(process)
        _keep(kept, coming, _encoded_context(flower, context))
        raise
    _end_copy_of(process)
    _keep(kept, coming, _encoded_context(flower, context))
    return reply


def _end_copy_of(process: int) -> None:
    """End this process if an app forked it and let it come back: the other one replies."""
    if os.getpid() != process:
        os._exit(0)


def _encoded_context(flower: Any, context: Any) -> bytes:
    """Return a Context's bytes: of equal ones the same, in whatever order their maps are."""
    encoded: bytes = flower.context_to_proto(context).SerializeToString(deterministic=True)
    return encoded


def _kept(path: Path) -> tuple[bytes | None, bool]:
    """Return the bytes that `_keep` has kept, if they are whole; and whether they are damaged.

    An empty file, which a power cut may leave, is a Context to protobuf, hence the SHA-256.
    """
    try:
        with path.open("rb") as file:
            digest, encoded = file.read(_DIGEST_BYTES), file.read()
    except FileNotFoundError:
        return None, False
    if hashlib.sha256(encoded).digest() != digest:
        return None, True
    return encoded, False


def _keep(kept: Path, coming: Path, encoded: bytes) -> None:
    """Keep bytes beside what was kept, in a file that is whole, also after a power cut."""
    digest = hashlib.sha256(encoded).digest()
    if _holds(kept, digest, encoded):  # as with an app that keeps nothing
        os.utime(kept)  # still in use
        return
    part = coming.with_name(f"{coming.name}.part")
    with part.open("wb") as file:
        file.write(digest)
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    part.replace(coming)
    folder = os.open(coming.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _holds(path: Path, digest: bytes, encoded: bytes) -> bool:
    """Whether a file has just these bytes; a large one is read only if its digest fits."""
    try:
        with path.open("rb") as file:
            return file.read(_DIGEST_BYTES) == digest and file.read() == encoded
    except FileNotFoundError:
        return False


def _is_library(name: str, home: str) -> bool:
    """Whether an imported module is one that any process may import; `home` has those of apps."""
    try:  # `getattr` would load a module that is loaded when it is used
        origin = object.__getattribute__(sys.modules[name], "__spec__").origin
    except (AttributeError, KeyError):
        return False
    return isinstance(origin, str) and origin.startswith(_LIBRARIES) and not origin.startswith(home)


def _preload(imports: Mapping[str, Any]) -> None:
    """Import the modules that ClientApps imported, with the variables that they set."""
    environ = dict(os.environ)
    os.environ.update(imports["environ"])
    for name in imports["modules"]:
        # What cannot be imported here a ClientApp may still import.
        with contextlib.suppress(BaseException):
            importlib.import_module(name)
    os.environ.clear()
    os.environ.update(environ)


def _encoded(flower: Any, reply: Any, limit: int) -> list[bytes]:
    """Encode a reply, in pieces.

    Raises
    ------
    ValueError
        If that is more than the limit.
    """
    encoded = [frames.encoded_head(flower, reply)]
    if reply.has_content():
        encoded += frames.content_field(frames.encoded_content(flower, reply))
    frames.check_size(frames.size_of(encoded), limit, "reply")
    return encoded


def _installed(flower: Any, fab: bytes) -> Path:
    """Install the app, without a word of it on standard output; returns its folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        return Path(flower.install_from_fab(fab, None, True))


def _resolve(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _json_in(pipe: socket.socket, kind: bytes) -> Any:
    """Return the content of the next frame; the frames behind it are left to a child."""
    with pipe.makefile("rb", buffering=0) as file:
        return json.loads(frames.receive_one(file, kind).rest())


if __name__ == "__main__":
    sys.exit(main())
