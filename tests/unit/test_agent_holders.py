"""Who can end the wait of one task."""

from __future__ import annotations

import asyncio
import time

from taskscope.agent.inspect.holders import Search
from taskscope.agent.inspect.walk import run


def who_ends(task: asyncio.Task[None]) -> tuple[str, ...]:
    search = Search(task)
    run(search.near())
    return search.result()


def test_the_time_that_a_timer_has_left_is_that_of_the_question() -> None:
    """Results are cached, except for a timer, which shows its remaining time."""

    async def wait(future: asyncio.Future[None]) -> None:
        await future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = loop.call_later(500, future.set_result, None)
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        first = who_ends(task)
        assert first[0].startswith("a timer of the loop, Future.set_result in ")
        end = time.monotonic() + 10
        while who_ends(task) == first:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        timer.cancel()
        future.set_result(None)
        await task

    asyncio.run(main())
