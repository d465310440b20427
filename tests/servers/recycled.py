"""gunicorn with eight workers recycled every few seconds under load, of which one leaks, watched as a group.

    python -m tests.servers.recycled [--for SECONDS] [--bare]

``--bare``: without us, which shows what fails anyway.  gunicorn's own asyncio worker is asked, because it
finishes what it has accepted when it recycles.  uvicorn's closes connections whose request has not come yet
(1 of 2,808 requests failed without us, 5 of 6,353 in another run), which has nothing to do with us.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope import endpoint
from taskscope.attach.family import below, parents
from taskscope.attach.payload import pieces
from taskscope.sources.group import GroupSource, observed
from taskscope.sources.pump import Pump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.model import Finding
    from taskscope.model.members import Member

WORKERS = 8

AT_ONCE, PAUSE = 4, 0.07
"""Clients, and seconds that each rests between two requests: about 50 a second together."""

SETTLED = 20.0
"""Seconds until both sides have what they always have."""

APP = """
import asyncio, os
kept = []
async def forgotten(): await asyncio.sleep(3600)
async def app(scope, receive, send):
    if scope["type"] == "http":
        if os.environ.get("LEAKS"):
            kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.005)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
"""

CONFIG = """
import os, sys
bind, workers, worker_class = "127.0.0.1:PORT", WORKERS, "asgi"
max_requests, max_requests_jitter, loglevel, control_socket_disable = 20, 10, "critical", True
graceful_timeout = 5  # a worker told to end as it is forked, before it handles signals, does not hear it
def post_fork(server, worker):
    if worker.age == 1:  # stays, and leaks
        os.environ["LEAKS"] = "1"
        worker.max_requests = sys.maxsize
        open("leaking", "w").write(str(os.getpid()))
"""


@contextmanager
def service(folder: Path, *, bare: bool) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The master, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "app.py").write_text(APP)
    (folder / "conf.py").write_text(CONFIG.replace("PORT", str(port)).replace("WORKERS", str(WORKERS)))
    with_us = [] if bare else ["-m", "taskscope", "run", "--name", "shop"]
    command = [sys.executable, *with_us, "-m", "gunicorn", "-c", "conf.py", "app:app"]
    with subprocess.Popen(command, cwd=folder) as master:
        try:
            yield master, port
        finally:
            family = below(master.pid, parents())
            master.terminate()
            try:
                master.wait(20)
            except subprocess.TimeoutExpired:
                for pid in family:
                    os.kill(pid, signal.SIGKILL)


class Load:
    """Requests, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = 0
        self.failed: list[str] = []

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(20):
                    await self._ask()
                self.answered += 1
            except (OSError, TimeoutError, EOFError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE)

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if not (await reader.read()).startswith(b"HTTP/1.1 200"):
                raise EOFError("no answer")
        finally:
            writer.close()


async def listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds: descriptors, threads, bytes of memory."""

    fds: int
    threads: int
    rss: int

    def __str__(self) -> str:
        return f"{self.fds} descriptors, {self.threads} threads, {self.rss / 2**20:.1f} MB"


def held(pid: int) -> Held:
    place = Path(f"/proc/{pid}")
    pages = int((place / "statm").read_text().split()[1])
    return Held(
        len(os.listdir(place / "fd")), len(os.listdir(place / "task")), pages * os.sysconf("SC_PAGE_SIZE")
    )


@dataclass(slots=True)
class Course:
    """What was seen.  ``ours`` and ``masters``: what our process and gunicorn's master hold, once a second.

    ``left``: workers that ended, ``recent``: the rows of the last of them.  ``strangers``: sockets in the
    agents' folder that no process of the service has.
    """

    load: Load
    ours: list[Held]
    masters: list[Held]
    leaking: int = 0
    left: int = 0
    recent: tuple[Member, ...] = ()
    findings: tuple[Finding, ...] = ()
    before: Held | None = None
    after: Held | None = None
    strangers: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()

    def told(self) -> Iterator[str]:
        failed = self.load.failed
        yield f"{self.load.answered:,} requests answered, {len(failed)} failed {failed[:3]}"
        yield f"master: {_course(self.masters)}"
        if self.before is None:
            return
        yield f"us: {_course(self.ours)}"
        yield f"us before: {self.before}; after: {self.after}"
        whys = Counter(f"{each.state}: {each.why}" for each in self.recent)
        yield f"{self.left} workers ended; of those still listed: {dict(whys)}"
        for each in self.findings:
            cause = each.cause.text if each.cause else "no cause"
            yield f"{each.level} at {Path(each.site.file).name}:{each.site.line} in {each.processes}: {cause}"
        yield f"sockets of nobody: {self.strangers}; in the end: {self.remaining}"


def _course(of: list[Held]) -> str:
    tenths = [f"{each.rss / 2**20:.0f}" for each in of[:: max(1, len(of) // 10)]]
    return f"from {of[0]} to {of[-1]}; {' '.join(tenths)} MB on the way"


async def run(folder: Path, sockets: Path, seconds: float, *, bare: bool = False) -> Course:
    """Runs service and load.  ``sockets``: where the agents listen, by ``TASKSCOPE_DIR``."""
    with service(folder, bare=bare) as (master, port):
        await listening(port)
        course = Course(Load(port), [], [])
        clients = [asyncio.create_task(course.load.run()) for _ in range(AT_ONCE)]
        if bare:
            await _left_alone(course, master.pid, seconds)
        else:
            await _watched(course, master.pid, seconds)
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)
        await asyncio.sleep(0.5)
        course.leaking = int((folder / "leaking").read_text())
        family = below(master.pid, parents())
        names = [each.name for each in sockets.iterdir()]
        course.strangers = tuple(each for each in names if int(each.partition(".")[0]) not in family)
        if not bare:
            course.after = held(os.getpid())
    endpoint.sweep()  # a worker that a signal ends leaves its socket to the next who looks
    course.remaining = tuple(each.name for each in sockets.iterdir())
    return course


async def _left_alone(course: Course, master: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        course.masters.append(held(master))
        await asyncio.sleep(1)


async def _watched(course: Course, master: int, seconds: float) -> None:
    pieces(compiled=True)  # takes 40 MB, once: a worker that is too busy to start its agent in time gets one
    course.before = held(os.getpid())
    group = observed([str(master)], children=True)
    assert isinstance(group, GroupSource)
    begun = time.monotonic()
    pump = Pump(group, await group.open())
    try:
        async for _ in pump.samples():
            course.findings = await pump.judged()
            passed = time.monotonic() - begun
            if passed > SETTLED or passed > seconds / 2:
                course.ours.append(held(os.getpid()))
                course.masters.append(held(master))
            if passed > seconds:
                break
        course.left = group.left
        there = below(master, parents())
        course.recent = tuple(each for each in group.members() if each.pid not in there)
    finally:
        await group.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", type=float, default=600.0, dest="seconds")
    parser.add_argument("--bare", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (sockets := Path(folder, "s")).mkdir(mode=0o700)
        os.environ["TASKSCOPE_DIR"] = str(sockets)
        course = asyncio.run(run(Path(folder), sockets, options.seconds, bare=options.bare))
    print(*course.told(), sep="\n")


if __name__ == "__main__":
    main()
