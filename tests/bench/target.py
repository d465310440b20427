"""The program that the bench observes; standard library only, so that every Python can run it.

``python target.py MODE NAME``: MODE is ``bare``, ``agent``, ``aiomonitor`` (its defaults),
``aiomonitor-hook`` or ``debug`` (the loop's debug mode).  It says ``{"ready": PID}`` on stdout, then answers
each line of JSON on stdin, ``{"do": NAME, ...}``, with one line of JSON.  The probe of the loop's latency
and the load are in here, so that all modes are measured by the same means.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from typing import Any

BATCH = 1_000
FOREVER = 1e6
DEPTH = 8
"""Calls between the coroutine and the line that creates tasks, as in a small web handler."""
TICK = 0.001


async def nothing() -> None:
    """The empty task of the hook's cost."""


async def parked() -> None:
    """A task that waits, two coroutines deep."""
    await waiting()


async def waiting() -> None:
    await asyncio.sleep(FOREVER)


async def awaiting(future: asyncio.Future[None]) -> None:
    await future


async def sleeping(seconds: float) -> None:
    await asyncio.sleep(seconds)


class Target:
    """What the commands do."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.tasks: list[asyncio.Task[None]] = []
        self.late: list[float] = []
        self.probing: asyncio.Task[None] | None = None

    async def hook(self, tasks: int) -> dict[str, float]:
        """Microseconds of CPU time (of all threads) to create, run and end an empty task."""
        began = time.process_time()
        for _ in range(tasks // BATCH):
            self.create(DEPTH)
            await asyncio.sleep(0)
        return {"us": (time.process_time() - began) / tasks * 1e6}

    def create(self, depth: int) -> None:
        if depth:
            self.create(depth - 1)
            return
        for _ in range(BATCH):
            self.loop.create_task(nothing())

    async def collect(self, times: int) -> dict[str, float]:
        """Microseconds of CPU time of a collection of the youngest objects."""
        began = time.thread_time()
        for _ in range(times):
            gc.collect(0)
        return {"us": (time.thread_time() - began) / times * 1e6}

    async def grow(self, tasks: int) -> dict[str, int]:
        """Parked tasks up to that number; resident memory before and after."""
        before = resident()
        while len(self.tasks) < tasks:
            for _ in range(min(BATCH, tasks - len(self.tasks))):
                self.tasks.append(self.loop.create_task(parked()))
            await asyncio.sleep(0)
        return {"before": before, "after": resident()}

    async def share(self, tasks: int, futures: int) -> dict[str, int]:
        """So many tasks that await few futures."""
        shared = [self.loop.create_future() for _ in range(futures)]
        for number in range(tasks):
            self.tasks.append(self.loop.create_task(awaiting(shared[number % futures])))
            if not number % BATCH:
                await asyncio.sleep(0)
        return {}

    async def probe_start(self) -> dict[str, Any]:
        """Records from now on by how much a 1 ms sleep is late, with one short task at each tick."""
        self.late = []
        self.probing = self.loop.create_task(self.tick())
        return {}

    async def tick(self) -> None:
        while True:
            due = self.loop.time() + TICK
            await asyncio.sleep(TICK)
            self.late.append(self.loop.time() - due)
            self.loop.create_task(nothing())

    async def probe_stop(self) -> dict[str, float]:
        """Percentiles of the lateness, in seconds."""
        assert self.probing is not None
        self.probing.cancel()
        late = sorted(self.late)
        if not late:
            return {"p50": 0.0, "p99": 0.0, "max": 0.0, "ticks": 0}
        return {
            "p50": late[len(late) // 2],
            "p99": late[len(late) * 99 // 100],
            "max": late[-1],
            "ticks": len(late),
        }

    async def sites(self, sites: int, each_second: int, each: int = 1) -> dict[str, Any]:
        """``each`` tasks parked at each of so many sites; so many short ones a second besides, in turn."""
        lines = [f"def site_{n}(seconds): return create(sleeping(seconds))" for n in range(sites)]
        space: dict[str, Any] = {"create": self.loop.create_task, "sleeping": sleeping}
        exec(compile("\n".join(lines), "/srv/app/many_sites.py", "exec"), space)
        starters = [space[f"site_{n}"] for n in range(sites)]
        for starter in starters:
            self.tasks += [starter(FOREVER) for _ in range(each)]
            await asyncio.sleep(0)
        self.tasks.append(self.loop.create_task(self.churn(starters, each_second)))
        return {}

    async def churn(self, starters: list[Any], each_second: int) -> None:
        number = 0
        while True:
            await asyncio.sleep(0.1)
            for _ in range(each_second // 10):
                starters[number % len(starters)](0)
                number += 1


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def main(mode: str, name: str) -> None:
    """Brings in what ``mode`` says and obeys."""
    loop = asyncio.get_running_loop()
    if mode == "agent":
        import taskscope

        taskscope.start(name)
    elif mode.startswith("aiomonitor"):
        import aiomonitor

        port = int(name)
        aiomonitor.start_monitor(
            loop,
            port=port,
            webui_port=port + 1,
            console_port=port + 2,
            console_enabled=False,
            hook_task_factory=mode.endswith("hook"),
        )
    elif mode == "debug":
        loop.set_debug(True)
        loop.slow_callback_duration = FOREVER
    await obey(Target())


async def obey(target: Target) -> None:
    """Answers commands until nobody sends any more."""
    reader = asyncio.StreamReader()
    await target.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    while line := await reader.readline():
        command = json.loads(line)
        answer = await getattr(target, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)
    os._exit(0)  # ending 300,000 tasks one by one is not what is measured


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
