"""CPU time of the agent when nobody looks, and of the app when somebody does."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

import pytest

from taskscope.model import requests
from taskscope.sources.live import LiveSource
from tests.bench.harness import Child, cpu_seconds, median, socket_of, table
from tests.terminal import Terminal

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

WINDOW = 10.0
TURNS = 3


async def shares(*pids: int, agent_of: int | None = None) -> list[float]:
    """Cores used by each process, and by a target's agent, at the same time: medians over windows."""
    meters = [partial(cpu_seconds, pid) for pid in pids]
    if agent_of is not None:
        meters.append(partial(cpu_seconds, agent_of, but_main=True))
    found: list[list[float]] = [[] for _ in meters]
    for _ in range(TURNS):
        before = [meter() for meter in meters]
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(WINDOW)
        took = asyncio.get_running_loop().time() - began
        for share, meter, then in zip(found, meters, before, strict=True):
            share.append((meter() - then) / took)
    return [median(share) for share in found]


async def test_agent_alone_costs_next_to_nothing() -> None:
    async with Child("bare") as bare, Child("agent") as child:
        await bare.do("grow", tasks=10_000)
        await child.do("grow", tasks=10_000)
        without, with_us = await shares(bare.pid, child.pid)
        source = LiveSource(socket_of(child.pid))
        await source.open()
        first = await anext(source.samples())
        await source.close()
    assert first.agent_cpu is not None
    table(
        f"CPU of an idle process with 10,000 tasks, nobody attached (medians of {TURNS} x {WINDOW:g} s)",
        ["", "% of a core"],
        [
            ["no agent", f"{without:.2%}"],
            ["agent", f"{with_us:.2%}"],
            ["what the agent says of itself", f"{first.agent_cpu:.2%}"],
        ],
    )
    assert with_us - without < 0.005


@pytest.mark.parametrize("interval", [0.25, 1.0])
async def test_app_with_5000_sites(interval: float) -> None:
    async with Child("agent") as child:
        await child.do("sites", sites=5_000, each_second=2_000)
        source = LiveSource(socket_of(child.pid))
        await source.open()
        await source.ask(requests.SetInterval(interval))
        async with Terminal([sys.executable, "-m", "taskscope", "attach", str(child.pid)]) as terminal:
            await terminal.until("many_sites.py")
            await asyncio.sleep(5)  # what is asked for once: history, sites
            app, target, agent = await shares(terminal.pid, child.pid, agent_of=child.pid)
        await source.close()
    table(
        f"The app in a terminal of 120x36 on 5,000 sites, 2,000 tasks a second, a sample each {interval:g} s",
        ["", "% of a core"],
        [["app", f"{app:.1%}"], ["target", f"{target:.1%}"], ["of that the agent", f"{agent:.1%}"]],
    )
    assert app < 0.05 or interval == 1.0
