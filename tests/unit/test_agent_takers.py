"""Who has the queue that a task puts into, and what is left of the look."""

from __future__ import annotations

import asyncio
import gc

from taskscope.agent.inspect import stacks, takers
from taskscope.agent.inspect.walk import run


class Desk:
    def __init__(self) -> None:
        self.letters: asyncio.Queue[int] = asyncio.Queue(1)

    async def write(self) -> None:
        await self.letters.put(1)
        await self.letters.put(2)

    async def read(self) -> int:
        return await self.letters.get()


async def test_the_owner_of_a_queue_is_found_and_gets_no_dictionary_by_it() -> None:
    desk = Desk()
    task = asyncio.create_task(desk.write())
    while not desk.letters.full():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    before = [type(each) for each in gc.get_referents(desk)]
    home = run(takers.home_of(desk.letters, stacks.await_chain(task.get_coro())))
    assert home is not None
    assert home[0] is desk
    assert home[1] == "letters"
    assert [type(each) for each in gc.get_referents(desk)] == before
    task.cancel()
