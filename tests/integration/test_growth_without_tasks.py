"""Real processes that grow: findings about descriptors and memory.

Time is stretched: to the judge, a second of theirs is twenty.

Shows: growth without tasks
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.sources.resolve import resolve
from tests.integration.children import running

if TYPE_CHECKING:
    from taskscope.model import Finding

STRETCH = 20
SECONDS = 12

BEGIN = """
import asyncio, collections, os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
async def request(): await asyncio.sleep(0.1)
async def forgotten(): await asyncio.sleep(3600)
async def main():
    kept, tasks = [], set()
    def start(coro):
        task = asyncio.create_task(coro)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for number in range(100_000):
        await asyncio.sleep(0.05)
        start(request())
"""
PROGRAMS = {
    "descriptors": """
        if not kept: kept += [os.dup(0) for _ in range(400)]
        if number % 4 == 0:
            start(forgotten())
            kept += [os.dup(0), os.dup(0)]
""",
    "memory": """
        kept.append(b"x" * 300_000)
""",
    "bounded cache": """
        kept.append(b"x" * 1_000_000)
        del kept[:-40]
""",
    "up and down": """
        kept.append(b"x" * 1_000_000)
        if number % 60 == 0: kept.clear()
""",
}
END = """
asyncio.run(main())
"""


async def told(program: str) -> list[Finding]:
    """What was told of the process, or with a forecast, at any moment; the newest last."""
    with running(BEGIN + program + END, "--interval", "100ms") as child, contextlib.suppress(TimeoutError):
        source = resolve(str(child.pid))
        hello = await source.open()
        judge = Judge(replace(hello, interval=hello.interval * STRETCH))
        found: list[Finding] = []
        try:
            async with asyncio.timeout(SECONDS):
                async for sample in source.samples():
                    moment = hello.monotonic + (sample.monotonic - hello.monotonic) * STRETCH
                    judge.feed(replace(sample, monotonic=moment))
                    found += [each for each in judge.findings() if each.kind == "growth" or each.projection]
        finally:
            await source.close()
    return found


async def test_growth_without_tasks_is_reported_and_growth_with_tasks_is_attributed_to_them() -> None:
    leaks, memory, bounded, breathing = await asyncio.gather(*map(told, PROGRAMS.values()))
    last = leaks[-1]
    assert (last.kind, last.level, last.coroutine) == ("task", "leak", "forgotten")
    assert last.projection is not None
    assert last.projection.resource == "fds"
    assert last.evidence["moves"]["fds"]["each"] == pytest.approx(2, rel=0.1)
    assert not any(each.kind == "growth" for each in leaks)
    assert {(each.kind, each.coroutine) for each in memory} == {("growth", "memory")}
    assert memory[-1].cause is not None
    assert memory[-1].cause.text == "no task or thread grows with it"
    assert memory[-1].evidence["rate_per_min"] == pytest.approx(300_000 * 20 * 60 / STRETCH, rel=0.4)
    assert bounded == breathing == []
