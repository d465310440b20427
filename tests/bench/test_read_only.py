"""What a running loop feels of being read from outside: how late its wake-ups are meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests import pythons, targets
from tests.bench.harness import median, table
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.bench, pytest.mark.timeout(400)]

TURNS, SECONDS = 8, 4.0
TASKS = 10_000
MOST_ADDED = 0.1
"""Milliseconds by which the p99 of wake-ups may be later (medians): the budget of an agent."""

FIRST = ("chrt", "--fifo", "10") if os.geteuid() == 0 else ()
"""What else the machine does is not what is measured."""

TICKER = f"""
import asyncio, os, time
late = []
def tell():
    os.read(0, 10)
    print(sorted(late)[int(len(late) * 0.99)] * 1000, max(late) * 1000)
    late.clear()
async def leaf(): await asyncio.sleep(3600)
async def wait(): await leaf()
async def main():
    kept = [asyncio.create_task(wait()) for _ in range({TASKS})]
    asyncio.get_running_loop().add_reader(0, tell)
    asyncio.get_running_loop().call_later(0.2, print, "ready", os.getpid())
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - began - 0.001)
asyncio.run(main())
"""


WAYS = {
    "nobody looks": (),
    "watch --read-only": ("watch", "--read-only", "--for", "60s"),
    "attach --read-only, the app open": ("attach", "--read-only"),
}


@contextlib.asynccontextmanager
async def looking(way: str, pid: int) -> AsyncIterator[None]:
    """Somebody looks at the process that way, from a terminal."""
    if not WAYS[way]:
        yield
        return
    verb, *options = WAYS[way]
    async with Terminal([sys.executable, "-m", "taskscope", verb, str(pid), *options]) as terminal:
        await terminal.until(f"{TASKS + 1:,}")  # which it has counted
        yield


@pytest.mark.parametrize("version", ["3.14"])
async def test_a_loop_does_not_feel_that_it_is_read(version: str) -> None:
    ours, theirs = socket.socketpair()
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with (
        ours,
        theirs,
        targets.running(pythons.require(version), TICKER, before=FIRST, stdin=theirs) as program,
    ):

        def late() -> tuple[float, float]:
            """The p99 and the worst since the last call."""
            ours.sendall(b"\n")
            assert program.child.stdout is not None
            p99, worst = map(float, program.child.stdout.readline().split())
            return p99, worst

        for _ in range(TURNS):
            for way in WAYS:
                async with looking(way, program.pid):
                    late()
                    await asyncio.sleep(SECONDS)
                    found[way].append(late())
    quiet, *others = ([p99 for p99, _ in each] for each in found.values())
    table(
        f"Wake-ups of a loop with {TASKS:,} tasks that ticks every millisecond, Python {version}, ms late",
        ["", "p99, median", "worst, median", "p99, quiet = 1"],
        [
            [
                name,
                f"{median([p99 for p99, _ in each]):.3f}",
                f"{median([worst for _, worst in each]):.2f}",
                f"{median([p99 for p99, _ in each]) / median(quiet):.2f}",
            ]
            for name, each in found.items()
        ],
    )
    for each in others:
        assert median(each) - median(quiet) < MOST_ADDED
