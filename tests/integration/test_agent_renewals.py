"""Tasks that a timer starts and that arm the next timer: who arms them, and where another chain begins.

Shows: chains that renew themselves, births climb
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.model import requests
from tests.integration.children import running, says
from tests.integration.test_agent_hangs import agent_of
from tests.pythons import require

if TYPE_CHECKING:
    from taskscope.model import Renewal, Site
    from taskscope.sources.live import LiveSource

VERSIONS = ("3.11", "3.14")

CHAINS = """
import asyncio
def say(): print("standing", flush=True)
class Stream:
    def connected(self):
        self._arm()
    def _arm(self):
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, lambda: asyncio.create_task(self.ping()))
    async def ping(self):
        try:
            await asyncio.sleep(0)
        finally:
            self._arm()
async def main():
    stream = Stream()
    for _ in range(4): stream.connected()
    asyncio.get_running_loop().call_later(0.3, say)
    await asyncio.Event().wait()
asyncio.run(main())
"""

ITSELF = """
import asyncio
def say(): print("standing", flush=True)
def start(): asyncio.create_task(tick())
async def tick():
    asyncio.get_running_loop().call_later(0.05, start)
async def main():
    start()
    asyncio.get_running_loop().call_later(0.3, say)
    await asyncio.Event().wait()
asyncio.run(main())
"""

DEBOUNCED = """
import asyncio
def say(): print("standing", flush=True)
async def flush(): pass
def start(): asyncio.create_task(flush())
def received():
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, start)
    loop.call_later(0.02, received)
async def main():
    received()
    asyncio.get_running_loop().call_later(0.3, say)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def renewal_of(source: LiveSource, coroutine: str) -> Renewal:
    """The answer as soon as a timer is pending: between two of them there may be none."""
    sites: dict[str, Site] = {}
    async for sample in source.samples():
        sites |= {each.coroutine: each for each in sample.new_sites}
        if coroutine in sites:
            break
    give_up = time.monotonic() + 20
    while True:
        found = await source.ask(requests.Renewal(sites[coroutine].id))
        if found.pending:
            return found
        assert time.monotonic() < give_up, "no timer is pending"
        await asyncio.sleep(0.01)


def line_of(program: str, text: str) -> int:
    return next(at for at, line in enumerate(program.split("\n"), 1) if text in line)


async def answer(program: str, coroutine: str, version: str) -> Renewal:
    with running(program, python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            return await renewal_of(source, coroutine)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_chain_is_told_with_the_line_that_arms_it_and_the_one_that_adds_another(version: str) -> None:
    found = await answer(CHAINS, "Stream.ping", version)
    assert 1 <= found.pending <= 4
    assert [each.line for each in found.armed] == [line_of(CHAINS, "call_later(0.05")]
    assert found.renewed is not None
    begun, again = (at for at, line in enumerate(CHAINS.split("\n"), 1) if "self._arm()" in line)
    assert (found.renewed.function, found.renewed.line) == ("Stream.ping", again)
    assert [(each.function, each.line) for each in found.begun] == [("Stream.connected", begun)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_task_that_arms_its_successor_itself(version: str) -> None:
    found = await answer(ITSELF, "tick", version)
    assert found.renewed is not None
    assert (found.renewed.function, found.renewed.line) == ("tick", line_of(ITSELF, "call_later(0.05"))


async def test_tasks_that_others_arm_timers_for_do_not_renew_themselves() -> None:
    found = await answer(DEBOUNCED, "flush", "3.11")
    assert found.renewed is None
    assert [each.function for each in found.armed] == ["received"]
