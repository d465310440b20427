"""Programs to attach to, as their users write them: none of them knows of TaskScope.

Each prints ``ready PID`` when it is where its name says, and runs until it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.procfs import status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ECHO = """
import asyncio, os
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print("ready", os.getpid(), server.sockets[0].getsockname()[1])
    await server.serve_forever()
"""

PROGRAMS = {
    "asyncio idle": """
import asyncio, os
async def wait():
    await asyncio.Event().wait()
async def main():
    waiting = [asyncio.create_task(wait()) for _ in range(5)]
    asyncio.get_running_loop().call_later(0.01, print, "ready", os.getpid())
    await asyncio.gather(*waiting)
asyncio.run(main())
""",
    "asyncio echo": f"{_ECHO}asyncio.run(main())\n",
    "sleep": """
import os, time
print("ready", os.getpid())
time.sleep(3600)
""",
    "tight loop": """
import os
print("ready", os.getpid())
while True:
    pass
""",
    "allocating": """
import os
print("ready", os.getpid())
while True:
    [bytearray(size) for size in range(100, 200_000, 997)]
""",
    "recv": """
import os, socket
here, there = socket.socketpair()
print("ready", os.getpid())
here.recv(1)
""",
    "lock": """
import os, threading
lock = threading.Lock()
lock.acquire()
print("ready", os.getpid())
lock.acquire()
""",
    "join": """
import os, threading
thread = threading.Thread(target=threading.Event().wait)
thread.start()
print("ready", os.getpid())
thread.join()
""",
    "loop in a thread": """
import asyncio, os, threading
async def main():
    print("ready", os.getpid())
    await asyncio.Event().wait()
thread = threading.Thread(target=asyncio.run, args=(main(),))
thread.start()
thread.join()
""",
    "C with the GIL": """
import ctypes, os, time
print("ready", os.getpid())
while True:
    ctypes.PyDLL(None).usleep(500_000)  # keeps the GIL
    time.sleep(0.1)
""",
    "500 threads": """
import os, threading
stop = threading.Event()
for _ in range(500):
    threading.Thread(target=stop.wait, daemon=True).start()
print("ready", os.getpid())
stop.wait()
""",
    "forked workers": """
import asyncio, os
async def main():
    os.write(1, b"ready %d\\n" % os.getpid())  # in one piece: two workers write
    await asyncio.Event().wait()
if os.fork() and os.fork():
    os.wait()
asyncio.run(main())
""",
    "uvloop idle": """
import asyncio, os, uvloop
async def main():
    print("ready", os.getpid())
    await asyncio.Event().wait()
asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
""",
    "uvloop echo": f"import uvloop{_ECHO}asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())\n",
    "echo with threads": """
import asyncio, os, random, threading, time
def work():
    kept = []
    while True:
        kept += [bytes(random.randrange(100, 300_000)) for _ in range(40)]
        del kept[:-50]
        time.sleep(0.001)
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(await asyncio.to_thread(bytes, line))
        await writer.drain()
    writer.close()
async def main():
    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print("ready", os.getpid(), server.sockets[0].getsockname()[1])
    await server.serve_forever()
asyncio.run(main())
""",
    "fastapi": """
import contextlib, os, socket, uvicorn
from fastapi import FastAPI
@contextlib.asynccontextmanager
async def ready(app):
    print("ready", os.getpid(), listener.getsockname()[1])
    yield
app = FastAPI(lifespan=ready)
@app.get("/")
async def root():
    return {"hello": "world"}
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
""",
}


CONTAINER = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-c")
"""Before a command: processes, files and a network of its own."""

_UID = os.geteuid()
_SOCKETS = f"/tmp/taskscope-{_UID}"
_NO_SESSION = f"if [ -d /run/user/{_UID} ]; then mount -t tmpfs tmpfs /run/user; fi"
"""Containers have no folder of a login, which would be the first place for a socket."""

OWN_FILES = f"{_NO_SESSION}\nmkdir -m 700 -p {_SOCKETS} && mount -t tmpfs -o mode=700 tmpfs {_SOCKETS}"
"""The rest of ``/tmp`` stays: the interpreter may lie there."""

CHROOT = f"{OWN_FILES} && mkdir {_SOCKETS}/root && mount --rbind / {_SOCKETS}/root && cd {_SOCKETS}/root"
READ_ONLY = f"""
{_NO_SESSION}
mount -o remount,ro,bind /
for folder in /tmp /run /run/user
do if mountpoint -q $folder; then mount -o remount,ro,bind $folder; fi
done
"""


def container(script: str = OWN_FILES, before: str = "") -> tuple[str, ...]:
    """What to put before a program so that it runs in a container, where ``script`` was run first."""
    return (*CONTAINER, f'set -e; {script}\nexec {before} "$@"', "sh")


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _descendants(int(child))


def _inner_pid(pid: int) -> int:
    return int(status(pid)["NSpid"].split()[-1])


class Program:
    """A running one.  ``pid`` is that of the process that said it is ready, ``port`` what it listens on."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        assert child.stdout is not None
        line = child.stdout.readline().split()
        assert line[:1] == ["ready"], f"the program said {line}, status {child.poll()}"
        inner, *ports = map(int, line[1:])
        self.pid = next(pid for pid in _descendants(child.pid) if _inner_pid(pid) == inner)
        self.port = ports[0] if ports else 0

    @property
    def alive(self) -> bool:
        return self.child.poll() is None

    def threads(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/task").iterdir())

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def mappings(self) -> int:
        return len(Path(f"/proc/{self.pid}/maps").read_text().splitlines())

    def rss(self) -> int:
        """Bytes resident."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(
    python: Path | str, program: str, options: Sequence[str] = (), before: Sequence[str] = (), **more: object
) -> Iterator[Program]:
    """Starts ``PROGRAMS[program]`` (or the text itself) and kills it, with all that it forked, at the end.

    ``options`` are the interpreter's, ``before`` a command that starts it (``unshare``, say).
    """
    text = PROGRAMS.get(program, program)
    child = subprocess.Popen(
        [*before, str(python), "-u", *options, "-c", text],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,  # type: ignore[call-overload]
    )
    try:
        yield Program(child)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in filter(None, (child.stdin, child.stdout)):
            pipe.close()
