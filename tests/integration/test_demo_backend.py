"""`backend` has five small lifecycle faults, and its fixed version none of them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from taskscope.demo.backend.broker import BrokerSession
from taskscope.demo.backend.cleanup import WaitingCleanup
from taskscope.demo.backend.notices import AwaitedNotices
from taskscope.demo.backend.pace import Pace
from taskscope.demo.backend.runs import Kinds, Run
from taskscope.demo.backend.service import FIXED
from tests.integration.demo_child import Demo, Look

if TYPE_CHECKING:
    from pathlib import Path

RATES = {
    "Client.read": 20,
    "Notices.deliver": 30,
    "RiskMonitor.halt": 20,
    "SignalProcessor.score": 20,
    "CleanupService.work": 20,
}
"""Coroutines and what each gains a minute at speed 1."""


async def test_each_of_the_five_faults_gains_tasks_at_its_rate() -> None:
    speed = 20
    async with Demo("backend", "--speed", str(speed)) as demo:
        first = await demo.until(lambda seen: all(seen.tasks.get(name, 0) >= 4 for name in RATES))
        later = await demo.until(lambda seen: seen.at >= first.at + 3)
        for name, rate in RATES.items():
            expected = rate / 60 * speed * (later.at - first.at)
            gained = later.tasks[name] - first.tasks[name]
            assert abs(gained - expected) <= 6, (name, gained, expected)
        assert later.tasks["Client.write"] <= 15
        assert later.tasks["Reports.work"] == 4
        left = await demo.end()
        assert all(left.tasks[name] >= later.tasks[name] - 4 for name in RATES)


async def test_fixed_gains_none_and_leaves_none() -> None:
    async with Demo("backend", "--fixed", "--speed", "20") as demo:
        most: dict[str, int] = {}

        def ten_runs(seen: Look) -> bool:
            for name, count in seen.tasks.items():
                most[name] = max(count, most.get(name, 0))
            return seen.at > first.at + 3

        first = await demo.look()
        await demo.until(ten_runs)
        assert {name for name in RATES if most.get(name, 0) > 12} == set()
        left = await demo.end(signal.SIGINT)
        assert not left.tasks


async def test_a_run_given_up_while_it_cleans_up_takes_its_hub_with_it(tmp_path: Path) -> None:
    class Busy(WaitingCleanup):
        async def work(self) -> None:
            await asyncio.Event().wait()

    pace, kinds = Pace(), Kinds(FIXED.hub, FIXED.signals, Busy)
    run = Run(1, kinds, AwaitedNotices(BrokerSession(), pace), pace, tmp_path)
    task = asyncio.create_task(run.execute())
    await asyncio.sleep(0)
    task.cancel()
    while not run.hub._closing:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("options", [[], ["--fixed"]])
async def test_a_run_can_be_started_watched_and_asked_for(options: list[str]) -> None:
    async with Demo("backend", *options, "--speed", "20") as demo, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{demo.port}/runs"
        run = (await (await http.post(url)).json())["run"]
        async with http.ws_connect(f"{url}/{run}/watch") as socket:
            heard = [str((await socket.receive(timeout=5)).data)]
            while heard[-1] != f"run {run} over":
                heard.append(str((await socket.receive(timeout=5)).data))
        assert f"run {run} step 2" in heard
        while (shown := await (await http.get(f"{url}/{run}")).json())["state"] == "running":
            await asyncio.sleep(0.02)
        assert len(shown["scores"]) == 2  # what came in time
        assert (await http.get(f"{url}/{run}/watch")).status == 410
        assert (await http.get(f"{url}/999999")).status == 404
