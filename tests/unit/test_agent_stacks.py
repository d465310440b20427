"""Where a task is parked: the most informative line."""

from __future__ import annotations

import asyncio
from typing import Any

from taskscope.agent.inspect import stacks


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
