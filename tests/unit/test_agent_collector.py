"""The garbage collector may run in the agent's thread and remove tasks from the chunk under inspection."""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from taskscope.agent.agent import Agent
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.counts.site_record import Chunk


@contextmanager
def collected_often(chunk: Chunk) -> Iterator[None]:
    """The collector runs every few allocations, and each time a task leaves the chunk."""

    def leave(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            chunk.popitem()

    before = gc.get_threshold()
    gc.callbacks.append(leave)
    gc.set_threshold(40)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(leave)


async def test_a_collection_in_the_middle_of_a_sweep_does_it_no_harm() -> None:
    agent = Agent("x", interval=1.0, control=False, version="0")
    agent.presence.arm()
    try:
        tasks: list[Any] = [asyncio.create_task(asyncio.sleep(9)) for _ in range(500)]
        await asyncio.sleep(0)
        records = agent.registry.task_records()
        chunk = max((each for record in records for each in record.chunks), key=len)
        assert len(chunk) > 400  # one of its own for each of the first few
        with collected_often(chunk):
            run(agent.sampler._sweep(1.0, 20_000))
        assert len(chunk) < 500
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        agent._undo()


def test_a_collection_whose_begin_was_not_seen_has_no_length() -> None:
    agent = Agent("x", interval=1.0, control=False, version="0")
    hook, noted = agent.collector, agent.watch.log.collections
    hook.work()
    try:
        (heard,) = [each for each in gc.callbacks if each is hook._callback]
        heard("stop", {"generation": 2})
        heard("start", {"generation": 2})
        hook.rest()  # in the middle of one: its end is not heard
        hook.work()
        heard("stop", {"generation": 2})
    finally:
        agent._undo()
    assert not noted
