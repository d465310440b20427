"""Forked workers: each has one identity and shows only what lives in it.

A master that runs a loop in a thread, or forks in a callback, leaves copies of its loops and tasks in them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running as running_with_agent
from tests.integration.children import taskscope
from tests.pythons import require
from tests.targets import running

if TYPE_CHECKING:
    from taskscope.model import Loop

WORK = """
import asyncio, os, sys, threading
async def parents(): await asyncio.sleep(3600)
async def work():
    async with asyncio.TaskGroup() as group:
        group.create_task(childs())
        os.write(1, b"ready %d\\n" % os.getpid())
async def childs(): await asyncio.sleep(3600)
"""

THREAD = (
    WORK
    + """
async def main():
    tasks = [asyncio.create_task(parents()) for _ in range(20)]
    await asyncio.sleep(0)
    started.set()
    await asyncio.wait(tasks)
started = threading.Event()
threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
started.wait()
if os.fork():
    os.wait()
else:
    asyncio.run(work())
"""
)

CALLBACK = (
    WORK
    + """
async def main():
    tasks = [asyncio.create_task(parents()) for _ in range(20)]
    await asyncio.sleep(0)
    if os.fork():
        os.wait()
    asyncio.run(work())
asyncio.run(main())
"""
)


async def looked_at(pid: int) -> None:
    """What must be told of the child: its one loop and its tasks, and each of its threads once."""
    point = agent_in(pid)
    assert point is not None
    source = LiveSource(point.path)
    await source.open()
    loops: list[Loop] = []
    give_up = time.monotonic() + 10
    async for sample in source.samples():
        loops = [loop for loop in await source.ask(requests.Loops()) if loop.running]
        if loops and sample.loop_latency is not None and sample.tasks.live == 2:
            break
        assert time.monotonic() < give_up, (sample.tasks, loops)
    assert len(loops) == 1
    assert loops[0].thread is not None
    assert sample.loop_latency is not None
    assert sample.loop_latency < 2
    assert await source.ask(requests.Stalls()) == ()
    threads = await source.ask(requests.Threads())
    main = [each for each in threads if each.ident == loops[0].thread]
    assert [each.native_id for each in main] == [pid]
    assert sorted(each.native_id for each in threads) == sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    page = await source.ask(requests.Tasks(limit=10))
    assert {task.coroutine for task in page.tasks} == {"work", "childs"}
    await source.close()


@pytest.mark.parametrize(
    ("version", "program"), [("3.11", THREAD), ("3.13", CALLBACK), ("3.15", THREAD), ("3.11", CALLBACK)]
)
async def test_with_the_agent_in_the_parent(version: str, program: str) -> None:
    with running_with_agent(program, python=str(require(version))) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[1])
        try:
            give_up = time.monotonic() + 20
            while agent_in(pid) is None:
                assert time.monotonic() < give_up, "no agent in the child"
                time.sleep(0.02)
            await looked_at(pid)
        finally:
            os.kill(pid, 9)


@pytest.mark.parametrize(("version", "program"), [("3.11", THREAD), ("3.13", CALLBACK)])
async def test_with_an_agent_that_comes_to_the_child(version: str, program: str) -> None:
    with running(require(version), program) as child:
        assert taskscope("snapshot", str(child.pid), "-o", os.devnull).returncode == 0
        await looked_at(child.pid)
