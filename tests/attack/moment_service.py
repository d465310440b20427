"""The service that ``bad_moments`` puts through its moments: a heartbeat, traffic of its own, and a reader
that obeys one word a line on standard input and says ``done WORD``.  It knows nothing of TaskScope.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import socket
import sys
import time
from typing import Any

late: list[float] = []
errors: list[str] = []
files: list[int] = []
ballast: list[bytearray] = []


async def heartbeat() -> None:
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.01)
        late.append(time.perf_counter() - begun - 0.01)


async def traffic() -> None:
    """Sends bytes over a socket pair, so that lost or foreign bytes show."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.sock_sendall(ours, b"ping")
            if await asyncio.wait_for(loop.sock_recv(theirs, 4), 30) != b"ping":
                errors.append("other bytes arrived")
        except Exception as error:
            errors.append(repr(error))
        await asyncio.sleep(0.02)


def report() -> None:
    print(json.dumps({"beats": len(late), "worst": max(late, default=0.0), "errors": errors}), flush=True)
    late.clear()


def descriptors() -> None:
    try:
        while True:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass


def memory() -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for chunk in (1 << 20, 1 << 12):
        try:
            while True:
                ballast.append(bytearray(chunk))
        except MemoryError:
            pass
    del ballast[-128:]  # half a megabyte, or else the service itself would not go on


def threads() -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, resource.getrlimit(resource.RLIMIT_NPROC)[1]))


def relieve() -> None:
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (resource.getrlimit(kind)[1],) * 2)
    ballast.clear()
    while files:
        os.close(files.pop())


def block(seconds: str) -> None:
    time.sleep(float(seconds))


def hold(seconds: str) -> None:
    """Keeps the GIL."""
    ctypes.PyDLL(None).usleep(int(float(seconds) * 1e6))


def become(seconds: str) -> None:
    os.execv("/bin/sleep", ["sleep", seconds])


def fork(seconds: str) -> None:
    if os.fork() == 0:
        time.sleep(float(seconds))
        os._exit(0)


def descend(uid: str) -> None:
    """Gives up root."""
    os.setgroups([])
    os.setresgid(*[int(uid)] * 3)
    os.setresuid(*[int(uid)] * 3)


def obey() -> None:
    word, *values = sys.stdin.readline().split()
    try:
        globals()[word](*values)
    finally:
        print("done", word, flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    failed: Any = lambda loop, context: errors.append(str(context))  # noqa: E731
    loop.set_exception_handler(failed)
    loop.add_reader(0, obey)
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat())
        group.create_task(traffic())
        print("ready", flush=True)


if __name__ == "__main__":
    if "close" in sys.argv:
        os.closerange(3, 4096)  # as a daemon does before it begins
    asyncio.run(main())
