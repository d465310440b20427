"""A process with aiomonitor and 10,000 tasks, looked at in every way that there is.

Its own page asks for the list of tasks every two seconds whatever that costs; we ask for no more than a tenth
of the time.  The windows take turns, in one process and in its twin that has the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.attach.inject import ensure_agent
from taskscope.sources.aiomonitor.source import AiomonitorSource
from tests.bench.harness import HAS_AIOMONITOR, Child, median, subscribed, table
from tests.bench.test_latency import HEAD, extra, row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not HAS_AIOMONITOR, reason="no aiomonitor here"),
]

SIZE = 10_000
WINDOW = 10.0
"""Seconds: five looks of its page, a few of ours."""
TURNS = 3

PAGE = (
    ("/api/task-count", {"task_type": "running"}),
    ("/api/task-count", {"task_type": "terminated"}),
    ("/api/live-tasks", {"filter": "", "persistent": "false"}),
)
"""What its page asks for every two seconds."""


@contextlib.asynccontextmanager
async def nobody(port: int) -> AsyncIterator[list[float]]:
    yield []


@contextlib.asynccontextmanager
async def its_page(port: int) -> AsyncIterator[list[float]]:
    """Its page is open in a browser; yields how long its lists took."""
    import aiohttp

    loop = asyncio.get_running_loop()
    took: list[float] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            began = loop.time()
            for path, form in PAGE:
                async with session.post(path, data=form) as answer:
                    await answer.read()
            took.append(loop.time() - began)
            await asyncio.sleep(max(0.0, began + 2.0 - loop.time()))

    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, running(ask(session)):
        yield took


@contextlib.asynccontextmanager
async def ourselves(port: int) -> AsyncIterator[list[float]]:
    """``taskscope attach aiomonitor://…`` at its usual interval; yields the time between two samples."""
    source = AiomonitorSource("127.0.0.1", port)
    await source.open()
    apart: list[float] = []

    async def take() -> None:
        async for sample in source.samples():
            if sample.seq > 1:
                apart.append(sample.interval)  # noqa: PERF401  (until it is cancelled)

    async with running(take()):
        yield apart
    await source.close()


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


WAYS: dict[str, Callable[[int], AbstractAsyncContextManager[list[float]]]] = {
    "nobody looks": nobody,
    "its page is open": its_page,
    "taskscope, over its API": ourselves,
}


AGENT = "taskscope, agent brought in"


async def test_latency_added_to_a_process_with_aiomonitor() -> None:
    windows: dict[str, list[dict[str, float]]] = {}
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    async with Child("aiomonitor-hook") as child, Child("aiomonitor-hook") as other:
        for each in (child, other):
            await each.do("grow", tasks=SIZE)
        await asyncio.to_thread(ensure_agent, other.pid)
        async with subscribed(other.pid):
            for _ in range(TURNS):
                for name, way in WAYS.items():
                    async with way(int(child.name) + 1) as seconds:
                        windows.setdefault(name, []).append(await child.lateness(WINDOW))
                    took[name] += seconds
                windows.setdefault(AGENT, []).append(await other.lateness(WINDOW))
    bare = windows["nobody looks"]
    rows = [row(name, each, bare, _said(name, took.get(name, []))) for name, each in windows.items()]
    table(
        f"A process with aiomonitor (hooked) and {SIZE:,} tasks (medians of {TURNS} windows of {WINDOW:g} s)",
        HEAD,
        rows,
    )
    for name in ("taskscope, over its API", AGENT):
        assert extra(windows[name], windows["its page is open"]) <= 0


def _said(name: str, seconds: list[float]) -> str:
    if not seconds:
        return ""
    return f"{median(seconds):.2f} s" if "page" in name else f"(every {max(seconds):.1f} s)"
