"""A station: answers what it is asked, and leaves its process in some disorder."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.utils.data import DataLoader, TensorDataset

_FOR_EVER = 3600.0

app = ClientApp()
random.seed(1)
rng = np.random.default_rng(1)
seen = 0


def reply(message: Message, **values: float) -> Message:
    """Reply with some numbers."""
    return Message(RecordDict({"values": MetricRecord(values)}), reply_to=message)


def note_pid(context: Context, pid: int) -> None:
    """Tell the test of a process."""
    folder = Path(str(context.run_config["pids"]))
    (folder / str(pid)).touch()


@app.query("globals")
def use_globals(message: Message, context: Context) -> Message:
    """Count in a global variable, and draw from generators that the app has seeded."""
    global seen  # noqa: PLW0603
    seen += 1
    told = int("UNRULY" in os.environ)
    os.environ["UNRULY"] = "told"
    drawn = random.random()  # noqa: S311
    return reply(message, seen=seen, told=told, drawn=drawn, normal=rng.normal())


@app.query("unseeded")
def draw_unseeded(message: Message, context: Context) -> Message:
    """Draw from NumPy's global generator, which nobody has seeded."""
    return reply(message, drawn=float(np.random.rand()))


@app.query("prints")
def print_much(message: Message, context: Context) -> Message:
    """Print a megabyte in one line, and another one in many."""
    print("x" * 1_000_000)
    for _ in range(10_000):
        print("y" * 99, file=sys.stderr)
    return reply(message, printed=2)


@app.query("workers")
def load_with_workers(message: Message, context: Context) -> Message:
    """Sum up what other processes have loaded."""
    torch.manual_seed(1)
    data = TensorDataset(torch.arange(1000, dtype=torch.float64))
    loader = DataLoader(data, batch_size=10, shuffle=True, num_workers=2, persistent_workers=True)
    total = torch.zeros(1, dtype=torch.float64)
    for number, (batch,) in enumerate(loader):
        total += number * batch.sum()
    return reply(message, total=total.item())


@app.query("leftover")
def leave_a_process(message: Message, context: Context) -> Message:
    """Leave a process behind that is in no way tied to this one."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep({_FOR_EVER})"], start_new_session=True
    )
    note_pid(context, child.pid)
    return reply(message, left=1)


@app.query("threads")
def leave_a_thread(message: Message, context: Context) -> Message:
    """Reply while a thread is at work that will never end."""
    note_pid(context, os.getpid())
    threading.Thread(target=time.sleep, args=(_FOR_EVER,)).start()
    return reply(message, left=1)


@app.query("exit")
def end_the_process(message: Message, context: Context) -> Message:
    """End the process, as if all were well."""
    sys.exit(0)


@app.query("hang")
def hang(message: Message, context: Context) -> Message:
    """Neither reply nor end when asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note_pid(context, os.getpid())
    time.sleep(_FOR_EVER)
    return reply(message)
