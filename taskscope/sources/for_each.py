"""Does something with every process of a group, each by itself, as they come and go."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from taskscope.sources.choice import Choice, Found

LOOK_EVERY = 1.0
"""Seconds between looks for processes that came."""


async def for_each(
    choice: Choice, work: Callable[[Found], Coroutine[Any, Any, None]], seconds: float, *, lasting: bool
) -> None:
    """``work`` for each process, once, until time is up; unless ``lasting``, until none is left.

    Raises SourceError if the first look fails.
    """
    end, first = time.monotonic() + seconds, True
    tasks: dict[object, asyncio.Task[None]] = {}
    try:
        while time.monotonic() < end:
            there: set[object] = set()
            try:
                found = await asyncio.to_thread(choice.find)
                there = {each.key for each in found}
            except SourceError:
                if first:
                    raise
                choice, found = choice.again(), []  # if the connection is lost, all begin again with the next
            for key in [key for key, task in tasks.items() if task.done() and key not in there]:
                tasks.pop(key).result()
            first = False
            for each in found:
                if each.key not in tasks and not each.helper:
                    tasks[each.key] = asyncio.create_task(work(each))
            if not lasting and all(task.done() for task in tasks.values()):
                break
            await asyncio.sleep(min(LOOK_EVERY, max(0.0, end - time.monotonic())))
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
