"""`heartbeat` leaves a heartbeat behind at each reconnect, and its fixed version does not."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from taskscope.demo.heartbeat.client import FeedClient, OwningClient
from taskscope.demo.heartbeat.venue import Venue
from tests.integration.demo_child import Demo, Look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEARTBEAT = "FeedClient.heartbeat"


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue(hang_up_every=3600)
    await venue.start()
    yield venue
    await venue.stop()


def heartbeats() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if "heartbeat()" in repr(task)}


async def open_and_stop(kind: type[FeedClient], url: str, times: int) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(times):
            client = kind(http, url, lambda _quote: None)
            client.start()
            await asyncio.wait_for(client.connected.wait(), 5)
            await client.stop()


async def test_a_hundred_connections_opened_and_stopped_leave_no_task_when_fixed(venue: Venue) -> None:
    before = asyncio.all_tasks()
    await open_and_stop(OwningClient, f"{venue.url}/BTC", 100)
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "Client" in repr(task)]


async def test_a_client_that_stops_leaves_its_heartbeat_when_leaky(venue: Venue) -> None:
    await open_and_stop(FeedClient, f"{venue.url}/BTC", 5)
    left = heartbeats()
    assert len(left) == 5
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def test_gains_one_heartbeat_a_reconnect() -> None:
    async with Demo("heartbeat", "--speed", "50") as demo:
        first = await demo.until(lambda seen: seen.tasks.get(HEARTBEAT, 0) >= 24)
        assert first.tasks["FeedClient.run"] == 12
        grown = await demo.until(lambda seen: seen.tasks[HEARTBEAT] >= 54)
        assert (
            0.75
            < (grown.at - first.at) * 50 * 36 / 60 / (grown.tasks[HEARTBEAT] - first.tasks[HEARTBEAT])
            < 1.25
        )
        assert grown.tasks["FeedClient.follow"] <= 12
        left = await demo.end()
        assert left.tasks[HEARTBEAT] >= 54


async def test_fixed_keeps_one_heartbeat_a_session_and_leaves_no_task() -> None:
    async with Demo("heartbeat", "--fixed", "--speed", "50") as demo:
        most = 0

        def over_two_rounds(seen: Look) -> bool:
            nonlocal most
            most = max(most, seen.tasks.get(HEARTBEAT, 0))
            return seen.at - first.at > 1.0

        first = await demo.look()
        await demo.until(over_two_rounds)
        assert 9 <= most <= 12
        left = await demo.end(signal.SIGINT)
        assert not left.tasks


@pytest.mark.parametrize("options", [[], ["--fixed"]])
async def test_serves_the_last_quotes(options: list[str]) -> None:
    async with Demo("heartbeat", *options) as demo, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{demo.port}/last"
        while len(last := await (await http.get(url)).json()) < 12:
            await asyncio.sleep(0.05)
        assert all(90 <= float(price) <= 110 for price in last.values())
        assert float(await (await http.get(f"{url}/BTC")).json()) > 0
        assert (await http.get(f"{url}/GOLD")).status == 404
