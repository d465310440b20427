"""What a running loop feels of an agent that comes: how late its wake-ups are while it is brought in."""

from __future__ import annotations

import os
import socket
import time

import pytest

from taskscope.attach import inject
from tests import pythons, targets
from tests.agent_client import AgentClient
from tests.bench.harness import median, table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

CYCLES = 15
MOST_ADDED = 5.0
"""Milliseconds by which the worst wake-up may exceed that of half a quiet second (medians)."""

FIRST = ("chrt", "--fifo", "10") if os.geteuid() == 0 else ()
"""What else the machine does is not what is measured."""

TICKER = """
import asyncio, os, time
late = []
def tell():
    os.read(0, 10)
    print(max(late, default=0.0) * 1000)
    late.clear()
async def main():
    asyncio.get_running_loop().add_reader(0, tell)
    asyncio.get_running_loop().call_later(0.2, print, "ready", os.getpid())
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - began - 0.001)
asyncio.run(main())
"""


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_a_loop_hardly_feels_that_an_agent_comes(version: str) -> None:
    quiet, coming, going = [], [], []
    ours, theirs = socket.socketpair()
    python = pythons.require(version)
    with ours, theirs, targets.running(python, TICKER, before=FIRST, stdin=theirs) as program:

        def worst() -> float:
            ours.sendall(b"\n")
            assert program.child.stdout is not None
            return float(program.child.stdout.readline())

        AgentClient(inject.ensure_agent(program.pid).path).detach()
        before = program.rss()
        for _ in range(CYCLES):
            worst()
            time.sleep(0.5)
            quiet.append(worst())
            client = AgentClient(inject.ensure_agent(program.pid).path)
            coming.append(worst())
            client.detach()
            going.append(worst())
        grown = (program.rss() - before) / 1e6
    added = median(coming) - median(quiet)
    table(
        f"The worst wake-up of a loop that ticks every millisecond, Python {version}, ms ({CYCLES} cycles)",
        ["", "median", "worst", "median, quiet = 1"],
        [
            [name, f"{median(each):.1f}", f"{max(each):.1f}", f"{median(each) / median(quiet):.1f}"]
            for name, each in (("half a quiet second", quiet), ("attaching", coming), ("detaching", going))
        ],
    )
    print(f"RSS after {CYCLES} cycles, against that after the first: {grown:+.1f} MB")
    assert added < MOST_ADDED
