"""Services of several processes, each started by another means: which of them are seen, and with what agents.

    python -m tests.servers.families [WORD ...]

prints the table (of the families with a WORD in their name).  In each, every worker leaks at one line.  Each
runs twice: attached to from outside by its first process's pid, and under ``taskscope run``.
"""

from __future__ import annotations

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from taskscope.attach.family import below, parents
from taskscope.sources.base import SourceError
from taskscope.sources.group import GroupSource, observed
from taskscope.sources.pump import Pump
from tests.corpus.program import installed
from tests.pythons import NEWEST
from tests.pythons import installed as pythons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.sources.members import Attendant

Way = Literal["outside", "run"]

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds within which the leak must be told of each worker: 18 to 30 on an idle machine."""

AT_ONCE = 2

PROGRAM = "programs"
"""The role of those that have none."""

LEAKY = """
import asyncio
async def forgotten(): await asyncio.sleep(3600)
async def leaking():
    kept = []
    while True:
        kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.1)
def work(*_): asyncio.run(leaking())
async def app(scope, receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            app.task = asyncio.create_task(leaking())
        await send({"type": message["type"] + ".complete"})
"""
LINE = 1 + LEAKY.splitlines().index("        kept.append(asyncio.create_task(forgotten()))")

FORKING = """
import os, leaky
for _ in range(2):
    if not os.fork(): leaky.work()
os.wait()
"""

PROCESSES = """
import multiprocessing, sys, leaky
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] or None)
    workers = [context.Process(target=leaky.work) for _ in range(2)]
    for each in workers: each.start()
    for each in workers: each.join()
"""

POOL = """
import concurrent.futures, leaky
if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(leaky.work, range(2)))
"""

CELERY = """
import os, celery, leaky
from celery.signals import worker_ready
for folder in ("queue", "done"): os.makedirs(folder, exist_ok=True)
app = celery.Celery("service", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "done"
}
app.conf.worker_prefetch_multiplier = 1
@app.task(name="leak")
def leak(): leaky.work()
@worker_ready.connect
def ready(**_):
    for _ in range(2): leak.delay()
"""

SUPERVISED = """
[supervisord]
nodaemon = true
[program:one]
command = PYTHON -m leaky_main
[program:two]
command = PYTHON -m leaky_main
"""


@dataclass(frozen=True, slots=True)
class Family:
    """``command``: what python runs, with ``{port}``; ``role``: that of its workers.  ``version``: the Python
    it needs, "" for this one.  ``follows``: its workers have agents by themselves where their parent was
    started with one.
    """

    name: str
    command: tuple[str, ...]
    role: str
    files: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    workers: int = 2
    version: str = ""
    follows: bool = True

    @property
    def title(self) -> str:
        return f"{self.name}, Python {self.version}" if self.version else self.name

    @property
    def python(self) -> str:
        return str(pythons().get(self.version, "")) if self.version else sys.executable

    @property
    def missing(self) -> list[str]:
        """What it needs and is not here."""
        if not self.python:
            return [f"Python {self.version}"]
        return [each for each in self.needs if not installed(each, self.python)]


def _of_the_library(version: str) -> Iterator[Family]:
    role = {"fork": "forked", "spawn": "spawned", "forkserver": "forked"}
    default = "fork" if version < "3.14" else "forkserver"
    yield Family("os.fork", ("service.py",), "forked", {"service.py": FORKING}, version=version)
    for method in (*role, ""):
        yield Family(
            f"multiprocessing, {method or 'by default'}",
            ("service.py", method),
            role[method or default],
            {"service.py": PROCESSES},
            version=version,
        )
    yield Family("ProcessPoolExecutor", ("service.py",), role[default], {"service.py": POOL}, version=version)


FAMILIES = (
    *_of_the_library("3.11"),
    *_of_the_library(NEWEST),
    Family(
        "uvicorn --workers 4",
        ("-m", "uvicorn", "--workers", "4", "--port", "{port}", "leaky:app"),
        "spawned",
        needs=("uvicorn",),
        workers=4,
    ),
    Family(
        "gunicorn -w 2 -k asgi",
        ("-m", "gunicorn", "-w", "2", "-k", "asgi", "-b", "127.0.0.1:{port}", "leaky:app"),
        "forked",
        needs=("gunicorn",),
    ),
    Family(
        "celery, prefork",
        ("-m", "celery", "-A", "service", "worker", "-c", "2", "--without-gossip", "--without-mingle"),
        "forked",
        {"service.py": CELERY},
        ("celery",),
    ),
    Family(
        "supervisord, two programs",
        ("-m", "supervisor.supervisord", "-c", "supervisord.conf"),
        PROGRAM,
        {
            "supervisord.conf": SUPERVISED.replace("PYTHON", sys.executable),
            "leaky_main.py": "import leaky; leaky.work()",
        },
        ("supervisor",),
        follows=False,
    ),
)


@contextmanager
def started(family: Family, way: Way, folder: Path) -> Iterator[int]:
    """The pid of its first process."""
    for name, text in {"leaky.py": LEAKY, **family.files}.items():
        (folder / name).write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    run = ["-m", "taskscope", "run", "--name", "family"] if way == "run" else []
    command = [family.python, *run, *(each.replace("{port}", str(port)) for each in family.command)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    with (folder / "said").open("wb") as said:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
    try:
        yield child.pid
    finally:
        for pid in below(child.pid, parents()):
            os.kill(pid, signal.SIGKILL)
        child.wait()


@dataclass(frozen=True, slots=True)
class Seen:
    """Of ``workers`` that must be seen, how many have their leak told at its line, in which roles, and how
    many agents came by themselves.  ``others``: processes that are no workers, by role or state.
    """

    workers: int
    leaking: int
    roles: tuple[str, ...]
    own: int
    others: dict[str, int]

    def __str__(self) -> str:
        agents = {self.leaking: "by itself", 0: "injected"}.get(self.own, f"{self.own} by itself")
        beside = "".join(f", beside {number} {what}" for what, number in self.others.items())
        roles = "/".join(self.roles)
        return f"{self.leaking} of {self.workers} {roles}: agent {agents}{beside}"


async def seen(family: Family, way: Way) -> Seen:
    """Runs it and watches it until the leak of each worker is told, or patience ends."""
    with tempfile.TemporaryDirectory() as name, started(family, way, Path(name)) as pid:
        end = time.monotonic() + PATIENCE
        group = observed([str(pid)], children=True)
        assert isinstance(group, GroupSource)
        hello = None
        while hello is None:
            try:
                hello = await group.open()
            except SourceError:  # it is only starting
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.5)
        try:
            async for _ in Pump(group, hello).samples():
                found = _seen(family, pid, group)
                if found.leaking >= family.workers or time.monotonic() > end:
                    return found
        finally:
            await group.close()
    raise AssertionError("the samples ended")


def _seen(family: Family, first: int, group: GroupSource) -> Seen:
    leaking = [each for each in group.attendants if _leaks(each)]
    others: Counter[str] = Counter(
        each.found.role or each.state
        for each in group.attendants
        if each not in leaking and each.pid != first
    )
    return Seen(
        family.workers,
        len(leaking),
        tuple(sorted({each.found.role or PROGRAM for each in leaking})),
        sum(each.hello is not None and each.hello.arrived == "started" for each in leaking),
        dict(others),
    )


def _leaks(member: Attendant) -> bool:
    """Whether the leak is told, at its line."""
    return any(
        each.level == "leak" and (Path(each.site.file).name, each.site.line) == ("leaky.py", LINE)
        for each in member.findings
    )


async def _table(families: list[Family]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def cell(family: Family, way: Way) -> str:
        async with room:
            return str(await seen(family, way))

    async def row(family: Family) -> str:
        outside, run = await asyncio.gather(cell(family, "outside"), cell(family, "run"))
        return f"| {family.title} | {outside} | {run} |"

    for each in [asyncio.create_task(row(family)) for family in families]:
        print(await each, flush=True)


def main() -> None:
    """Prints the table."""
    wanted = [
        each for each in FAMILIES if not sys.argv[1:] or any(word in each.title for word in sys.argv[1:])
    ]
    print("| service | attached to by its pid | under `taskscope run` |\n|---|---|---|")
    asyncio.run(_table([each for each in wanted if not each.missing]))
    for each in wanted:
        if each.missing:
            print(f"left out: {each.title} needs {', '.join(each.missing)}")


if __name__ == "__main__":
    main()
