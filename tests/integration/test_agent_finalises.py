"""The collector may run the program's finalisers in the agent's thread: no loop sleeps on because of that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.integration.children import running, says
from tests.pythons import require

if TYPE_CHECKING:
    from taskscope.model import Stall

LEFT_BEHIND = """
import asyncio, gc, threading
{other}
loops = threading.get_ident()
async def prefetch(done):
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        print("here" if threading.get_ident() == loops else "elsewhere", flush=True)
        done.set_result(None)
async def main():
    done = asyncio.get_running_loop().create_future()
    gc.collect()
    gc.disable()
    gc.set_threshold(50)
    left = prefetch(done)
    left.send(None)
    cycle = [left]
    cycle.append(cycle)
    del left, cycle
    print("standing", flush=True)
    asyncio.get_running_loop().call_soon(gc.enable)
    await done
    print("woken", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

OTHER = """
begun, never = threading.Lock(), threading.Lock()
begun.acquire(), never.acquire()
def other():
    begun.release()
    never.acquire()
threading.Thread(target=other, daemon=True).start()
begun.acquire()
"""
"""From then on it makes no object, so that it never runs the collector."""


async def left_to_us(program: str, version: str) -> bool:
    """Whether the collector ran in our thread; the loop is woken then, and not blamed."""
    with running(program, python=str(require(version))) as child:
        says(child, "standing")
        point = agent_in(child.pid)
        assert point is not None
        source = LiveSource(point.path)
        await source.open()
        try:
            assert child.stdout is not None
            where = await asyncio.to_thread(child.stdout.readline)
            if where.strip() == "here":  # the program made the container that was one too many
                return False
            await asyncio.wait_for(asyncio.to_thread(says, child, "woken"), 20)
            stalls: tuple[Stall, ...] = await source.ask(requests.Stalls())
            assert [each.why for each in stalls if each.why == "asleep"] == []
        finally:
            await source.close()
    return True


@pytest.mark.parametrize("version", ["3.11", "3.14"])
@pytest.mark.parametrize("other", ["", OTHER], ids=["alone", "with another thread"])
async def test_a_loop_that_our_thread_gave_work_is_woken_and_not_blamed(other: str, version: str) -> None:
    for _ in range(5):
        if await left_to_us(LEFT_BEHIND.format(other=other), version):
            return
    pytest.fail("the collector never ran in our thread")
