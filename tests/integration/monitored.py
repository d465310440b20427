"""Real child processes that run aiomonitor, as their users start it, and do what a line on stdin says.

``python monitored.py HOOK WEB_PORT [AGENT]``: HOOK is ``hook`` or ``plain``, AGENT ``before`` or ``after``
starts taskscope's agent then, ``commands`` adds its commands to the console.  It
prints ``ready`` once the monitor answers and ``done`` after each command:

``start N``, ``end N``: that many more or fewer tasks; ``churn N``: tasks that end at once; ``fail``: one that
fails, and one that is cancelled; ``open``, ``close``: the monitor, ``block N``: the
loop for N seconds, ``share``:
another one on the same web port; ``agent``, ``no agent``: taskscope's;
``locations``, ``records``, ``sessions``, ``factory``: prints what aiomonitor says of each task, where it
keeps that, how many sit in its console, and the loop's task factory, instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = str(Path(__file__).resolve())


async def leaf() -> None:
    await asyncio.sleep(3600)


async def family() -> None:
    await asyncio.gather(leaf(), leaf())


async def quick() -> None:
    await asyncio.sleep(0)


async def boom() -> None:
    raise ValueError("boom")


class Program:
    def __init__(self, hook: bool, web: int) -> None:
        self.hook, self.web = hook, web
        self.kept: list[asyncio.Task[None]] = []
        self.monitor: Any = None

    async def do(self, verb: str, *words: str) -> None:
        count = int(words[0]) if words and words[0].isdigit() else 0
        if verb == "start":
            for _ in range(count):
                self.kept.append(asyncio.create_task(leaf()))  # the site of the leaves
        elif verb == "end":
            for _ in range(count):
                self.kept.pop(0).cancel()
            await asyncio.sleep(0.01)
        elif verb == "churn":
            for _ in range(count):
                await asyncio.create_task(quick())
        elif verb == "fail":
            doomed = [asyncio.create_task(boom()), asyncio.create_task(leaf())]
            await asyncio.sleep(0.01)
            doomed[1].cancel()
            await asyncio.gather(*doomed, return_exceptions=True)
        elif verb in {"open", "share"}:
            import aiomonitor

            self.monitor = aiomonitor.start_monitor(
                asyncio.get_running_loop(),
                port=self.web - 1 if verb == "open" else free_port(),
                webui_port=self.web,
                console_port=self.web + 1,
                hook_task_factory=self.hook,
            )
        elif verb == "block":
            asyncio.get_running_loop().call_later(0.1, time.sleep, count)
            await asyncio.sleep(0)
        elif verb == "close":
            self.monitor.close()
        elif verb == "agent":
            import taskscope

            taskscope.start("monitored", interval=0.1, control="control" in words)
        elif verb == "no":
            import taskscope

            taskscope.stop()
        elif verb == "locations":
            rows = self.monitor.format_running_task_list("", False)
            print(*sorted({f"{row.coro}@{row.created_location}" for row in rows}), flush=True)
        elif verb == "records":
            print(type(self.monitor._created_tracebacks).__name__, flush=True)
        elif verb == "sessions":
            tasks = asyncio.all_tasks(self.monitor._ui_loop)
            print(sum("telnet" in repr(task) or "interact" in repr(task) for task in tasks), flush=True)
        elif verb == "factory":
            print(asyncio.get_running_loop().get_task_factory(), flush=True)


async def main(hook: str, web: str, *rest: str) -> None:
    program = Program(hook == "hook", int(web))
    if "commands" in rest:
        import taskscope.aiomonitor_commands  # noqa: F401  (what its users write)
    if "before" in rest:
        await program.do("agent")
    if "alone" not in rest:
        await program.do("open")
    if "after" in rest:
        await program.do("agent")
    parents = asyncio.create_task(family())
    await asyncio.sleep(0.01)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await program.do(*line.split())
        if not line.startswith(("locations", "records", "sessions", "factory")):
            print("done", flush=True)
    parents.cancel()


class Child:
    """One running; ``web`` is the port of its web API, ``telnet`` that of its console."""

    def __init__(self, process: subprocess.Popen[str], web: int) -> None:
        self.process = process
        self.pid = process.pid
        self.web = web
        self.telnet = web - 1

    @property
    def target(self) -> str:
        return f"aiomonitor://127.0.0.1:{self.web}"

    def do(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def monitored(hook: str = "hook", *rest: str, web: int = 0, loop: str = "asyncio") -> Iterator[Child]:
    """A child that is ready; whatever it writes to stderr fails the test."""
    port = web or free_port()
    code = f"import sys, {loop}, runpy; sys.argv[0] = {HERE!r}; import tests.integration.monitored as m\n"
    run = [sys.executable, "-W", "ignore", "-c", code + f"{loop}.run(m.main(*sys.argv[1:]))"]
    with subprocess.Popen(
        [*run, hook, str(port), *rest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(HERE).parents[2],
    ) as process:
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            assert ready == "ready\n", process.stderr and process.stderr.read()
            yield Child(process, port)
        finally:
            process.kill()
            _, errors = process.communicate()
    assert errors == "", errors


def free_port() -> int:
    """The middle one of three ports that are free now: telnet, web, console."""
    while True:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            for other in (port + 1, port + 2):
                held.enter_context(socket.socket()).bind(("127.0.0.1", other))
            return port + 1
