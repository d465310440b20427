"""Answers that a healthy aiomonitor never gives, from a real HTTP server: how they are handled."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from taskscope.model import requests
from taskscope.sources.aiomonitor.source import AiomonitorSource
from taskscope.sources.base import NotAvailable, SourceError, TargetGone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.packages


def rows(first: int, count: int, age: str = "01:00.000") -> dict[str, Any]:
    return {
        "tasks": [
            {
                "task_id": str(id),
                "state": "PENDING",
                "name": f"Task-{id}",
                "coro": "leaf()",
                "created_location": "<cwd>/a.py:1",
                "since": age,
            }
            for id in range(first, first + count)
        ]
    }


class Strange:
    """Serves aiomonitor's API; ``live`` answers for the list, given the number of the connection."""

    def __init__(self, live: Callable[[int], web.Response]) -> None:
        self._live = live
        self._connections: list[object] = []
        self.lists = 0

    async def version(self, request: web.Request) -> web.Response:
        self._number(request)
        return web.json_response({"value": "0.7.1"})

    async def live(self, request: web.Request) -> web.Response:
        self.lists += 1
        return self._live(self._number(request))

    async def ended(self, request: web.Request) -> web.Response:
        return web.json_response({"tasks": []})

    async def trace(self, request: web.Request) -> web.Response:
        return web.json_response({"msg": "Internal server error"}, status=500)

    def _number(self, request: web.Request) -> int:
        if request.transport not in self._connections:
            self._connections.append(request.transport)
        return self._connections.index(request.transport)


@asynccontextmanager
async def serving(live: Callable[[int], web.Response]) -> AsyncIterator[AiomonitorSource]:
    strange = Strange(live)
    app = web.Application()
    app.router.add_get("/api/version", strange.version)
    app.router.add_post("/api/live-tasks", strange.live)
    app.router.add_post("/api/terminated-tasks", strange.ended)
    app.router.add_get("/trace-running", strange.trace)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    source = AiomonitorSource(host, port)
    await source.ask(requests.SetInterval(0.01))
    try:
        yield source
    finally:
        await source.close()
        await runner.cleanup()


async def test_answers_of_a_second_worker_are_recognised_and_counted() -> None:
    def live(connection: int) -> web.Response:
        return web.json_response(rows(1, 10) if connection % 2 == 0 else rows(500, 70))

    async with serving(live) as source:
        await source.open()
        samples = source.samples()
        for _ in range(4):
            sample = await anext(samples)
            assert sample.tasks.live == 10
        assert sample.dropped == {f"answers from another process on port {source.port}": 2}


async def test_a_worker_that_is_replaced_is_gone() -> None:
    lists = iter([rows(1, 10)])

    def live(connection: int) -> web.Response:
        return web.json_response(next(lists, rows(500, 70)))

    async with serving(live) as source:
        await source.open()
        samples = source.samples()
        await anext(samples)
        with pytest.raises(TargetGone, match="no longer answers at 127"):
            await anext(samples)


async def test_a_list_that_fails_now_and_then_is_left_out() -> None:
    calls = iter(range(1000))

    def live(connection: int) -> web.Response:
        failed = next(calls) % 3 == 1
        return web.Response(status=500) if failed else web.json_response(rows(1, 10))

    async with serving(live) as source:
        await source.open()
        samples = source.samples()
        for _ in range(4):
            sample = await anext(samples)
        assert sample.tasks.live == 10
        assert sample.dropped == {"lists that aiomonitor failed to build": 2}


async def test_a_monitor_that_never_makes_a_list_is_refused() -> None:
    async with serving(lambda connection: web.Response(status=500)) as source:
        with pytest.raises(SourceError, match="answered 500 to"):
            await source.open()


async def test_a_page_that_fails_is_a_task_that_cannot_be_shown() -> None:
    async with serving(lambda connection: web.json_response(rows(1, 3))) as source:
        await source.open()
        await anext(source.samples())
        with pytest.raises(NotAvailable, match="or aiomonitor cannot show it"):
            await source.ask(requests.Task(1))
        assert (await source.ask(requests.Site(1))).site.frame.file == "<cwd>/a.py"
