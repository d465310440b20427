"""Semaphores and limiters whose slots are all taken: by whom, where, since when, and who waits.

Shows: slots taken
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace

import pytest

from taskscope.analysis.patterns.overload import SLOTS_HELD, slots_taken
from taskscope.attach.presence import agent_in
from taskscope.model import WaitGraph, requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running, says
from tests.pythons import require

STUCK = """
import asyncio
async def call(slots, gate):
    async with slots:
        await gate.wait()
async def main():
    slots, gate = asyncio.Semaphore(2), asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, lambda: print("standing", flush=True))
    asyncio.get_running_loop().call_later(3600, gate.set)
    await asyncio.gather(*(call(slots, gate) for _ in range(5)))
asyncio.run(main())
"""

THREADS = """
import threading, time
slots, gate, started = threading.BoundedSemaphore(2), threading.Event(), threading.Semaphore(0)
def call():
    started.release()
    with slots:
        gate.wait()
def open_late():
    time.sleep(3600)
    gate.set()
threading.Thread(target=open_late, daemon=True).start()
for number in range(5): threading.Thread(target=call, name=f"caller {number}", daemon=True).start()
for _ in range(5): started.acquire()
print("standing", flush=True)
threading.Event().wait()
"""

DRAINS = STUCK.replace("        await gate.wait()\n", "        await asyncio.sleep(0.05)\n").replace(
    "range(5)", "range(5000)"
)

SLEEPS = STUCK.replace("        await gate.wait()\n", "        await asyncio.sleep(3600)\n")


async def graphs(program: str, version: str, number: int) -> list[WaitGraph]:
    with running(program, python=str(require(version))) as child:
        says(child, "standing")
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        await source.open()
        try:
            found: list[WaitGraph] = []
            end = time.monotonic() + 20
            while len(found) < number:
                graph = await source.ask(requests.Waits())
                assert time.monotonic() < end
                found.append(graph)
                await asyncio.sleep(0.2)
            return found
        finally:
            await source.close()


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_who_took_the_slots_and_who_waits_is_told(version: str) -> None:
    graph = (await graphs(STUCK, version, 3))[-1]
    assert slots_taken(graph) == (), "they may still be given back"
    (finding,) = slots_taken(replace(graph, monotonic=graph.monotonic + SLOTS_HELD))
    assert (finding.level, finding.site.function) == ("suspect", "call")
    assert finding.text.startswith("Semaphore: every slot has been taken for at least ")
    assert finding.text.endswith(" and 3 tasks wait")
    assert finding.cause is not None
    assert len([each for each in finding.cause.evidence if ", taken at <string>:4 in call, " in each]) == 2
    assert "3 tasks wait for a slot at <string>:4 in call" in finding.cause.evidence


@pytest.mark.parametrize("version", ["3.11", "3.14"])
async def test_threads_that_took_them_are_told_too(version: str) -> None:
    graph = (await graphs(THREADS, version, 4))[-1]
    (finding,) = slots_taken(replace(graph, monotonic=graph.monotonic + SLOTS_HELD))
    assert finding.text.startswith("BoundedSemaphore: all 2 slots have been taken for at least ")
    assert finding.text.endswith(" and 3 threads wait")
    assert finding.cause is not None
    held = (
        r"thread caller \d has one, taken at <string>:6 in call, and waits at <string>:7 in call \(.*event\)"
    )
    assert len([each for each in finding.cause.evidence if re.fullmatch(held, each)]) == 2
    assert "3 threads wait for a slot at <string>:6 in call" in finding.cause.evidence


@pytest.mark.parametrize(
    "program",
    [DRAINS, SLEEPS, THREADS.replace("gate.wait()", "time.sleep(3600)")],
    ids=["drains", "sleeps", "threads that sleep"],
)
async def test_slots_that_come_back_are_not_suspected(program: str) -> None:
    for graph in await graphs(program, "3.11", 5):
        assert slots_taken(replace(graph, monotonic=graph.monotonic + 10 * SLOTS_HELD)) == ()
