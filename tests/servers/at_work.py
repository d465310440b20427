"""Popular servers under modest load, watched in all their processes: nothing may be called a leak or a hang.

    python -m tests.servers.at_work [--for SECONDS] [--python PATH] [NAME ...]

``--python``: an interpreter with the packages of ``requirements.txt``; servers without theirs are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.errors import AttachError
from taskscope.sources.base import SourceError
from tests.corpus.program import SURE, installed, shown
from tests.corpus.score import judged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskscope.model import Finding

ROOT = Path(__file__).parents[2]
CLIENTS = 10
"""Clients of each server, each with a connection that it keeps for some requests."""

STARTUP = 30.0
"""Seconds within which a server answers."""


WORKERS = 20.0
"""Seconds until its workers are there, so that they are watched too."""


@dataclass
class Server:
    """``command``: behind ``python -m``, with ``{port}``; ``path``: what is asked for, "" if not by HTTP."""

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    path: str = "/"
    producer: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    watched: int = 0
    answered: int = 0
    said: Counter[str] = field(default_factory=Counter)
    sure: list[Finding] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def _gunicorn(name: str, app: str, *needs: str) -> Server:
    options = ("-w", "2", "-k", name, "--no-control-socket", "-b", "127.0.0.1:{port}")
    return Server(
        f"gunicorn {name}", ("gunicorn", *needs), ("gunicorn", *options, f"tests.servers.apps:{app}")
    )


SERVERS = (
    Server("uvicorn", ("uvicorn",), ("uvicorn", "--port", "{port}", "tests.servers.apps:asgi")),
    _gunicorn("sync", "wsgi"),
    _gunicorn("gthread", "wsgi"),
    _gunicorn("gevent", "wsgi", "gevent"),
    _gunicorn("tornado", "tornado_app", "tornado"),
    _gunicorn("asgi", "asgi"),
    _gunicorn("uvicorn_worker.UvicornWorker", "asgi", "uvicorn_worker"),
    Server("hypercorn", ("hypercorn",), ("hypercorn", "-b", "127.0.0.1:{port}", "tests.servers.apps:asgi")),
    Server("aiohttp", ("aiohttp",), ("aiohttp.web", "-P", "{port}", "tests.servers.apps:aiohttp_app")),
    Server(
        "celery",
        ("celery", "redis"),
        ("celery", "-A", "tests.servers.apps:celery_app", "worker", "-c", "2", "--without-gossip"),
        "",
        ("tests.servers.celery_producer",),
        ("redis-server",),
    ),
    Server(
        "jupyter",
        ("jupyter_server",),
        ("jupyter_server", "--allow-root", "--no-browser", "--port", "{port}", "--IdentityProvider.token="),
        "/api/contents",
    ),
    Server("dask", ("distributed",), ("tests.servers.dask_cluster",), ""),
    Server("daphne", ("daphne",), ("daphne", "-p", "{port}", "tests.servers.apps:asgi")),
    Server("sanic", ("sanic",), ("sanic", "tests.servers.apps:sanic_app", "-p", "{port}", "-w", "2")),
    Server(
        "granian",
        ("granian",),
        ("granian", "--interface", "asgi", "--workers", "2", "--port", "{port}", "tests.servers.apps:asgi"),
    ),
)


async def watch(server: Server, python: str, seconds: float, redis: str) -> None:
    """Runs a server with its clients, and keeps what is said of its processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [each.format(port=port) for each in server.command]
    async with _running(python, command, redis) as pid, contextlib.AsyncExitStack() as stack:
        if server.producer:
            await stack.enter_async_context(_running(python, [*server.producer], redis))
        if server.path and not await _answers(port, server.path):
            server.trouble.append("does not answer")
            return
        clients = [asyncio.create_task(_visit(server, port)) for _ in range(CLIENTS if server.path else 0)]
        await asyncio.sleep(WORKERS)
        pids = [pid, *_descendants(pid)]
        try:
            await asyncio.gather(*(_judge(server, each, seconds) for each in pids))
        finally:
            for each in clients:
                each.cancel()


@asynccontextmanager
async def _running(python: str, command: list[str], redis: str) -> AsyncIterator[int]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AT_WORK_BROKER": redis}
    environment.pop("PYTEST_CURRENT_TEST", None)
    with tempfile.TemporaryDirectory() as folder:
        child = await asyncio.create_subprocess_exec(
            python, "-m", *command, cwd=folder, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield child.pid
        finally:
            for pid in (*_descendants(child.pid), child.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await child.wait()


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *_descendants(child)]
    return found


async def _judge(server: Server, pid: int, seconds: float) -> None:
    said: dict[str, Finding] = {}
    try:
        async with aclosing(judged(pid)) as course:
            server.watched += 1
            async for passed, findings in course:
                said |= {f"{each.level} {each.kind} {shown(each)}": each for each in findings}
                if passed >= seconds:
                    break
    except (SourceError, AttachError) as error:
        server.trouble.append(f"{pid}: {error}")
    sure: dict[str, Finding] = {
        f"{each.level} {each.site}": each for each in said.values() if each.level in SURE
    }
    server.sure += sure.values()
    server.said.update(
        each.level for each in {(each.level, each.kind, each.site): each for each in said.values()}.values()
    )


# -- clients -----------------------------------------------------------------------------------------


async def _answers(port: int, path: str) -> bool:
    for _ in range(int(STARTUP * 2)):
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await _ask(reader, writer, path)
                return True
            finally:
                writer.close()
        await asyncio.sleep(0.5)
    return False


async def _visit(server: Server, port: int) -> None:
    """Opens connections, asks a few times on each, sometimes goes without waiting for the answer."""
    for number in itertools.count(random.randrange(10)):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for _ in range(random.randrange(1, 8)):
                    await _ask(reader, writer, server.path)
                    server.answered += 1
                    await asyncio.sleep(random.uniform(0.2, 1.5))
                if number % 10 == 0:
                    writer.write(_request(server.path))
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError):
            await asyncio.sleep(0.5)


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    """One request; EOFError if the server closes the connection, as it may."""
    writer.write(_request(path))
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length:" in head:
            await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        elif b"chunked" in head:
            while size := int((await reader.readline()).strip() or b"0", 16):
                await reader.readexactly(size + 2)
            await reader.readline()


# -- all of them -------------------------------------------------------------------------------------


@asynccontextmanager
async def _redis() -> AsyncIterator[str]:
    """The address of a redis-server of our own, "" if there is none."""
    if shutil.which("redis-server") is None:
        yield ""
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "")
    server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        await server.wait()


def missing(server: Server, python: str) -> list[str]:
    lack = [each for each in server.needs if not installed(each, python)]
    return lack + [each for each in server.runs if shutil.which(each) is None]


async def watch_all(servers: list[Server], python: str, seconds: float) -> None:
    async with _redis() as redis:
        await asyncio.gather(*(watch(each, python, seconds, redis) for each in servers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", type=float, default=300.0, dest="seconds")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    wanted = [each for each in SERVERS if not options.names or each.name in options.names]
    here = [each for each in wanted if not missing(each, options.python)]
    asyncio.run(watch_all(here, options.python, options.seconds))
    for server in here:
        said = (
            ", ".join(f"{number} {level}" for level, number in sorted(server.said.items())) or "nothing said"
        )
        print(f"{server.name:<40} {server.watched} processes  {server.answered:>6} answers  {said}")
        for finding in server.sure:
            print(f"    FALSE {finding.level}: " + shown(finding).replace("\n", "\n        "))
        for trouble in server.trouble:
            print(f"    {trouble}")
    for server in wanted:
        if server not in here:
            print(f"left out: {server.name} needs {', '.join(missing(server, options.python))}")


if __name__ == "__main__":
    main()
