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
    from collections.abc import Callable

    from taskscope.model import Finding, Sample

STRETCH = 20
SECONDS, MOST = 12, 60
"""Least and most of ours: a busy machine needs longer until the programs have grown."""

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


class Told:
    """What was told of the process, or with a forecast, at any moment; the newest last.

    ``rss``: by how much memory grew per second of ours.
    """

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.rss = 0.0


async def told(program: str, enough: Callable[[list[Finding]], bool]) -> Told:
    """Watches a program for a while, and until that is enough."""
    told = Told()
    with running(BEGIN + program + END, "--interval", "100ms") as child, contextlib.suppress(TimeoutError):
        source = resolve(str(child.pid))
        hello = await source.open()
        judge = Judge(replace(hello, interval=hello.interval * STRETCH))
        first: Sample | None = None
        try:
            async with asyncio.timeout(MOST):
                async for sample in source.samples():
                    first = first or sample
                    passed = sample.monotonic - hello.monotonic
                    judge.feed(replace(sample, monotonic=hello.monotonic + passed * STRETCH))
                    told.found += [
                        each for each in judge.findings() if each.kind == "growth" or each.projection
                    ]
                    if passed > SECONDS and enough(told.found):
                        told.rss = ((sample.rss or 0) - (first.rss or 0)) / passed
                        break
        finally:
            await source.close()
    return told


def always(_: list[Finding]) -> bool:
    return True


def is_attributed(found: list[Finding]) -> bool:
    return bool(found) and found[-1].level == "leak" and "moves" in found[-1].evidence


@pytest.mark.timeout(2 * MOST)
async def test_growth_without_tasks_is_reported_and_growth_with_tasks_is_attributed_to_them() -> None:
    leaks, memory, bounded, breathing = await asyncio.gather(
        told(PROGRAMS["descriptors"], is_attributed),
        told(PROGRAMS["memory"], bool),
        told(PROGRAMS["bounded cache"], always),
        told(PROGRAMS["up and down"], always),
    )
    last = leaks.found[-1]
    assert (last.kind, last.level, last.coroutine) == ("task", "leak", "forgotten")
    assert last.projection is not None
    assert last.projection.resource == "fds"
    assert last.evidence["moves"]["fds"]["each"] == pytest.approx(2, rel=0.1)
    assert not any(each.kind == "growth" for each in leaks.found)
    assert {(each.kind, each.coroutine) for each in memory.found} == {("growth", "memory")}
    growth = memory.found[-1]
    assert growth.cause is not None
    assert growth.cause.text == "no task or thread grows with it"
    assert growth.evidence["rate_per_min"] == pytest.approx(memory.rss * 60 / STRETCH, rel=0.4)
    assert bounded.found == breathing.found == []
