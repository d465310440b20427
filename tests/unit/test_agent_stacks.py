"""Where a task is parked: the most informative line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from taskscope.agent.inspect import stacks

if TYPE_CHECKING:
    from taskscope import model


async def test_a_library_that_waits_is_parked_at_its_own_line() -> None:
    space: dict[str, Any] = {}
    text = "async def hold(event):\n    await event.wait()\n"
    exec(compile(text, "/srv/site-packages/kit/hold.py", "exec"), space)
    task = asyncio.create_task(space["hold"](asyncio.Event()))
    await asyncio.sleep(0)
    parked = stacks.parked(task, stacks.await_chain(task.get_coro()))
    assert parked is not None
    assert (parked.frame.file, parked.frame.line) == ("/srv/site-packages/kit/hold.py", 2)
    assert (parked.user_frame, parked.wait) == (None, "event")
    task.cancel()


async def test_a_chain_too_deep_to_be_followed_is_not_said_to_wait_for_a_future() -> None:
    async def down(calls: int) -> None:
        await (down(calls - 1) if calls else asyncio.Event().wait())

    def parked(task: asyncio.Task[None]) -> model.Parked | None:
        return stacks.parked(task, stacks.await_chain(task.get_coro()))

    short, long = (asyncio.create_task(down(calls)) for calls in (100, 200))
    await asyncio.sleep(0)
    found, cut = parked(short), parked(long)
    assert found is not None and (found.wait, found.text) == ("event", "Event.wait")
    assert cut is not None and (cut.wait, cut.text) == ("unknown", "suspended 128 or more calls deep")
    for task in (short, long):
        task.cancel()
