"""gunicorn with eight workers recycled every few seconds under load, of which one leaks, watched as a group.

``pytest tests/servers/test_recycled.py -m servers -n 0 -s``, in an environment with gunicorn and
uvicorn-worker; ``RECYCLED_SECONDS`` (default 120) is how long.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskscope import endpoint
from taskscope.attach.family import below, parents
from taskscope.sources.group import GroupSource, observed
from taskscope.sources.pump import Pump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.model import Finding

SECONDS = float(os.environ.get("RECYCLED_SECONDS", "120"))
pytestmark = [pytest.mark.servers, pytest.mark.timeout(SECONDS + 180)]
pytest.importorskip("gunicorn")
pytest.importorskip("uvicorn_worker")

WORKERS = 8
AT_ONCE = 4
"""Clients."""

FAILS = 300
"""Of so many requests one may fail: uvicorn resets connections when it recycles, without us 5 of 6,353."""

APP = """
import asyncio, os
kept = []
async def forgotten(): await asyncio.sleep(3600)
async def app(scope, receive, send):
    if scope["type"] == "http":
        if os.environ.get("LEAKS"):
            kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.005)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"ok"})
"""

CONFIG = """
import os
bind, workers, worker_class = "127.0.0.1:PORT", WORKERS, "uvicorn_worker.UvicornWorker"
max_requests, max_requests_jitter, loglevel = 60, 30, "critical"
def post_fork(server, worker):
    if worker.age == 1:  # stays, and leaks
        os.environ["LEAKS"] = "1"
        worker.config.limit_max_requests = None
        open("leaking", "w").write(str(os.getpid()))
"""


@contextmanager
def service(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The master, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "app.py").write_text(APP)
    (folder / "conf.py").write_text(CONFIG.replace("PORT", str(port)).replace("WORKERS", str(WORKERS)))
    command = [
        sys.executable,
        "-m",
        "taskscope",
        "run",
        "--name",
        "shop",
        "-m",
        "gunicorn",
        "-c",
        "conf.py",
        "app:app",
    ]
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
            await asyncio.sleep(0.01)

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


async def test_recycled_workers_are_followed_and_the_leaking_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sockets := tmp_path / "s").mkdir(mode=0o700)
    monkeypatch.setenv("TASKSCOPE_DIR", str(sockets))
    with service(tmp_path) as (master, port):
        await listening(port)
        before = len(os.listdir("/proc/self/fd"))
        load = Load(port)
        clients = [asyncio.create_task(load.run()) for _ in range(AT_ONCE)]
        group = observed([str(master.pid)], children=True)
        assert isinstance(group, GroupSource)
        findings, memory = await watched(group)
        for each in clients:
            each.cancel()
        await asyncio.wait(clients)
        told = [(each.level, each.coroutine, each.processes) for each in findings if each.level != "info"]
        print(f"\n{SECONDS:.0f} s: {group.left} workers ended, {load.answered:,} requests answered, {told}")
        (leak,) = [each for each in findings if each.level == "leak"]
        leaking = int((tmp_path / "leaking").read_text())
        print(
            f"{len(load.failed)} failed; leak at {leak.site.file}:{leak.site.line} in {leak.processes} "
            f"({leak.cause.text if leak.cause else 'no cause'}); our memory "
            f"{[each >> 20 for each in memory[:: len(memory) // 5]]} MB; "
            f"descriptors {before} to {len(os.listdir('/proc/self/fd'))}"
        )
        assert (leak.processes, leak.coroutine) == ((leaking,), "forgotten")
        assert leak.cause is not None
        assert group.left >= SECONDS / 10
        assert len(load.failed) <= load.answered / FAILS
        await asyncio.sleep(0.5)
        assert len(os.listdir("/proc/self/fd")) <= before + AT_ONCE
        there = {int(each.name.partition(".")[0]) for each in sockets.iterdir()}
        assert there <= below(master.pid, parents())
    endpoint.sweep()  # a worker that a signal ends leaves its socket to the next who looks
    assert list(sockets.iterdir()) == []


async def watched(group: GroupSource) -> tuple[tuple[Finding, ...], list[int]]:
    """What is found in the end, and our memory on the way."""
    pump = Pump(group, await group.open())
    memory, end = [], time.monotonic() + SECONDS
    try:
        async for _ in pump.samples():
            findings = await pump.judged()
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            if time.monotonic() > end:
                return findings, memory
    finally:
        await group.close()
    raise AssertionError("the service has ended")
