"""What is read of programs from outside agrees with what the agent in them sees: tasks by line, and threads.

    pytest tests/corpus/test_seen_from_outside.py -m slow -n 2 -s

The programs go on meanwhile, so the agent is asked between two looks from outside: what did not change from
one to the other has to be the same.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.live import LiveSource
from taskscope.sources.outside.source import OutsideSource
from tests import pythons
from tests.corpus.program import CORPUS
from tests.integration.children import REPO, wait_for_agent
from tests.patience import FACTOR

if TYPE_CHECKING:
    from taskscope.model import Frame
    from taskscope.sources.base import Source

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PROGRAMS = (
    *(
        "leaking/callback_chain",
        "leaking/shielded_and_timed_out",
        "leaking/cancel_swallowed",
        "leaking/half_notified",
    ),
    *("leaking/sleeper_per_error", "leaking/session_consumers", "leaking/under_shared_spawn"),
    *("leaking/queue_without_reader", "leaking/thread_per_client", "leaking/timer_threads"),
    *("hanging/await_each_other", "hanging/barrier_of_three", "hanging/put_without_a_consumer"),
    *("hanging/lock_across_an_await", "hanging/stages_that_feed_each_other", "hanging/stop_under_the_lock"),
)

Picture = Counter[tuple[object, ...]]


async def tasks(source: Source) -> Picture:
    """How many tasks of a coroutine wait at a line; those that run are nowhere."""
    found: Picture = Counter()
    after = None
    while True:
        page = await source.ask(requests.Tasks(after=after, limit=1000))
        for each in page.tasks:
            where = each.parked
            if where is not None and where.wait != "running":
                found[each.coroutine, *line(where.user_frame or where.frame)] += 1
        after = page.after
        if after is None:
            return found


async def threads(source: Source) -> Picture:
    """How many threads of the program stand at a line."""
    shown = [each for each in await source.ask(requests.Threads()) if each.python and each.frame]
    found = Counter(line(each.frame) for each in shown if each.frame is not None)
    return Counter({place: number for place, number in found.items() if "/taskscope/" not in str(place[0])})


def line(frame: Frame) -> tuple[str, int]:
    return os.path.realpath(frame.file), frame.line


async def agree(pid: int, agent: Source) -> tuple[int, int, list[str]]:
    """Tasks and threads compared, and in what both differ."""
    before, after = [await outside(pid)], await seen(agent)
    before.append(await outside(pid))
    compared, differ = [0, 0], []
    for kind in (0, 1):
        first, second, inside = before[0][kind], before[1][kind], after[kind]
        for place in first.keys() | second.keys() | inside.keys():
            if first[place] == second[place]:
                compared[kind] += first[place]
                if inside[place] != first[place]:
                    differ.append(f"{place}: {first[place]} from outside, {inside[place]} for the agent")
    return compared[0], compared[1], differ


async def outside(pid: int) -> tuple[Picture, Picture]:
    source = OutsideSource(pid)
    await source.open()
    try:
        return await seen(source)
    finally:
        await source.close()


async def seen(source: Source) -> tuple[Picture, Picture]:
    return await tasks(source), await threads(source)


@pytest.mark.parametrize("version", ["3.11", pythons.NEWEST])
@pytest.mark.parametrize("name", PROGRAMS)
async def test_both_see_the_same(name: str, version: str) -> None:
    command = [str(pythons.require(version)), "-m", "taskscope", "run", str(CORPUS / f"{name}.py")]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, text=True) as child:
        try:
            wait_for_agent(child)
            point = agent_in(child.pid)
            assert point is not None
            source = LiveSource(point.path)
            await source.open()
            await asyncio.sleep(3.0)  # so that there is something to see
            for _ in range(10):
                found = await agree(child.pid, source)
                if not found[2] and (found[0] or found[1]):
                    break
                await asyncio.sleep(0.3 * FACTOR)
            print(f"\n{name} {version}: {found[0]} tasks and {found[1]} threads compared")
            assert not found[2]
            assert found[0] + found[1] > 0
            await source.close()
        finally:
            child.kill()
