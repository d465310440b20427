"""Keeping hold of tasks, so that somebody can end them."""

from __future__ import annotations

import asyncio
from typing import Any


class Owner:
    """Holds tasks until they are done; ``end`` cancels those that are not, and waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def own(self, task: asyncio.Task[Any] | None) -> None:
        """Keeps a task.  None (no current task) is ignored."""
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Returns when none of the tasks lives."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
