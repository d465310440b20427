"""The load test that the order executor's team put off: 1,000 failures a second, 300,000 live tasks.

``pytest tests/bench -m soak -n 0 -s`` takes about eight minutes: five until the tasks level off.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.bench.harness import Child, cpu_seconds, median, table
from tests.terminal import Terminal

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

ORDERS = Path(__file__).with_name("orders_target.py")
LIVE = 299_000
WINDOW = 5.0
TURNS = 6


class Seen:
    """What was measured of one service in one situation."""

    def __init__(self) -> None:
        self.p99: list[float] = []
        self.p50: list[float] = []
        self.rate: list[float] = []
        self.cpu: list[float] = []

    async def window(self, child: Child) -> None:
        """One window of measuring."""
        before, cpu = await child.do("failures"), cpu_seconds(child.pid)
        late = await child.lateness(WINDOW)
        after = await child.do("failures")
        took = after["at"] - before["at"]
        self.p50.append(late["p50"])
        self.p99.append(late["p99"])
        self.rate.append((after["total"] - before["total"]) / took)
        self.cpu.append((cpu_seconds(child.pid) - cpu) / took)

    def row(self, name: str) -> list[str]:
        """A line of the table."""
        latency = [f"{median(each) * 1e3:.2f}" for each in (self.p50, self.p99)]
        return [name, *latency, f"{median(self.rate):.1f}", f"{median(self.cpu):.0%}"]


async def test_orders_with_300_000_live_tasks() -> None:
    async with Child("bare", program=ORDERS) as bare, Child("agent", program=ORDERS) as child:
        for each in (bare, child):
            while (await each.do("failures"))["recent"] < LIVE:
                await asyncio.sleep(1)
        plain, alone, plain_again, watched = Seen(), Seen(), Seen(), Seen()
        for _ in range(TURNS):
            await plain.window(bare)
            await alone.window(child)
        async with Terminal([sys.executable, "-m", "taskscope", "attach", str(child.pid)]) as app:
            await app.until("executor.py:44")
            began, cpu = time.monotonic(), cpu_seconds(app.pid)
            for _ in range(TURNS):
                await plain_again.window(bare)
                await watched.window(child)
            app_cpu = (cpu_seconds(app.pid) - cpu) / (time.monotonic() - began)
            overview = await answers(app, "jk" * 15)
            app.press("g\r")
            await app.until("asyncio.sleep")
            site = await answers(app, "jjjjjGkkkkkg" * 2)
    table(
        f"orders, 1,000 failures a second, 300,000 live tasks (medians of {TURNS} windows of {WINDOW:g} s)",
        ["", "p50 ms", "p99 ms", "failures/s", "CPU"],
        [
            plain.row("no agent"),
            alone.row("agent, nobody attached"),
            plain_again.row("no agent, again"),
            watched.row("agent and app"),
        ],
    )
    table(
        f"The app on it: {app_cpu:.1%} of a core; from a key to the first change on the screen",
        ["", "median ms", "worst ms"],
        [
            [name, f"{median(each) * 1e3:.0f}", f"{max(each) * 1e3:.0f}"]
            for name, each in (("overview", overview), ("site view, 300,000 tasks", site))
        ],
    )
    assert median(watched.rate) > 0.99 * median(plain_again.rate)
    assert median(watched.p99) - median(plain_again.p99) < 0.0005
    assert median(overview) < 0.1
    assert median(site) < 0.1


async def answers(app: Terminal, keys: str) -> list[float]:
    """Seconds from each key to the next output."""
    found = []
    for key in keys:
        began = time.monotonic()
        await app.pressed(key)
        found.append(time.monotonic() - began)
        await asyncio.sleep(0.05)
    return found
