"""Command lines that start no Python each: one process has imported TaskScope, and forks for them.

What a command does and prints, and its exit status, are those of ``python -m taskscope``, in a process of its
own.  Only what is loaded when, and the end of the interpreter, are not: tests of these start a process anew.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from typing import NoReturn

import taskscope
from taskscope.__main__ import main

_ROOMS = ("analysis", "attach", "commands", "export", "model", "sources")
"""What commands without the app import."""


def run(*words: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs ``taskscope WORDS`` with our environment and folder.  Raises subprocess.TimeoutExpired."""
    control = _control()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        given = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(control, [json.dumps(given).encode()], [out.fileno(), err.fileno()])
        pid = int(control.recv(20))
        control.settimeout(timeout)
        try:
            status = int(control.recv(20))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            control.settimeout(None)
            control.recv(20)
            raise subprocess.TimeoutExpired(words, timeout) from None
        control.settimeout(None)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, status, out.read(), err.read())


@functools.cache
def _control() -> socket.socket:
    """Starts the process that forks.  It is no child of ours, as tests look at those; it ends with us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), start_new_session=True
        )
    return ours


def _prepare() -> None:
    for each in pkgutil.walk_packages(taskscope.__path__, "taskscope."):
        if each.name.split(".")[1] in _ROOMS and "bootstrap" not in each.name:
            importlib.import_module(each.name)


def _serve(control: socket.socket) -> None:
    """Forks for each request."""
    while True:
        message, streams, _, _ = socket.recv_fds(control, 1 << 20, 2)
        if not message:
            return
        if not (pid := os.fork()):
            control.close()
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
                os.close(stream)
            _command(**json.loads(message))
        for stream in streams:
            os.close(stream)
        control.send(str(pid).encode())
        control.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _command(words: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    status: object = 1
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(
        status if isinstance(status, int) else 1
    )  # the end of an interpreter takes longer than a command


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    _prepare()
    _serve(socket.socket(fileno=int(sys.argv[1])))
