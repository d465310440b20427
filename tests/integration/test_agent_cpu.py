"""The CPU by site, callback and thread, as the agent samples it in a real process."""

from __future__ import annotations

from collections import defaultdict

import pytest

from taskscope.analysis.cpu import CpuProfile
from taskscope.model import requests
from tests.integration.children import running, says
from tests.integration.test_agent_hangs import agent_of
from tests.pythons import require

VERSIONS = ("3.11", "3.14")

BUSY = """
import asyncio, threading, time, zlib
def say(): print("standing", flush=True)
def count(number):
    for _ in range(number): pass
async def much():
    while True:
        count(120_000)
        await asyncio.sleep(0)
async def little():
    while True:
        count(15_000)
        await asyncio.sleep(0)
class Ticker:
    def tick(self):
        count(15_000)
        asyncio.get_running_loop().call_soon(self.tick)
async def idle(): await asyncio.Event().wait()
def compress():
    data = bytes(1_000_000)
    while True: zlib.compress(data, 9)
async def main():
    asyncio.get_running_loop().call_later(0.3, say)
    Ticker().tick()
    threading.Thread(target=compress, name="packer", daemon=True).start()
    threading.Thread(target=threading.Event().wait, name="idler", daemon=True).start()
    await asyncio.gather(much(), little(), idle())
asyncio.run(main())
"""


@pytest.mark.parametrize("version", VERSIONS)
async def test_cpu_is_told_by_what_runs_with_its_lines_and_what_sampling_costs(version: str) -> None:
    profile = CpuProfile()
    with running(BUSY, python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            while not profile.seconds or (profile.used * profile.seconds < 3 and profile.seconds < 25):
                profile.add(await source.ask(requests.Cpu(1.0)))
    used: dict[str, float] = defaultdict(float)
    lines = {}
    for row in profile.work():
        name = row.key[1] or profile.names()[row.key[2]]
        used[name] += row.seconds
        lines[name] = row.line
    assert used["packer"] > 0, "it holds no GIL, and is seen all the same"
    assert used["much"] > used["little"] > 0
    assert used["Ticker.tick"] > 0
    assert "idle" not in used
    assert "idler" not in used
    line = lines["much"]
    assert line is not None
    assert line.function in ("count", "much")
    seen = sum(used.values())
    assert seen >= 0.6 * profile.used * profile.seconds
    assert 0 < profile.cost < 0.2
    assert profile.looks >= 3


BURSTS = """
import asyncio
def count(number):
    for _ in range(number): pass
async def bursts():
    print("standing", flush=True)
    while True:
        count(60_000)
        await asyncio.sleep(0.004)
asyncio.run(bursts())
"""


async def test_bursts_are_charged_to_what_runs_in_them_not_to_the_loop_that_sleeps_in_between() -> None:
    profile = CpuProfile()
    with running(BURSTS) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            while not profile.seconds or (profile.used * profile.seconds < 1 and profile.seconds < 20):
                profile.add(await source.ask(requests.Cpu(1.0)))
    used = {row.key[1]: row.seconds for row in profile.work()}
    assert used.get("bursts", 0.0) > used.get("(event loop)", 0.0)
