"""Task ownership: tasks are kept so that they can be cancelled and awaited."""

from __future__ import annotations

import asyncio
from typing import Any


class Owner:
    """Keeps tasks until they are done; ``end`` cancels the rest and waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def own(self, task: asyncio.Task[Any] | None) -> None:
        """Keeps a task.  None (no current task) is ignored."""
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Cancels the tasks and returns when all are done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
