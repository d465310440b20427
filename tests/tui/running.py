"""Starts the whole app on a source, with a clock that a test moves by hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from textual.events import Key

from taskscope.tui.app import TaskScopeApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

    from taskscope.sources.base import Source

SIZES = [(80, 24), (200, 60)]


@asynccontextmanager
async def running(
    source: Source, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[TaskScopeApp, Pilot[None]]]:
    """The app; its clock stands still, so details are read when a view opens and on ``r``."""
    app = TaskScopeApp(source, clock=lambda: 1000.0)
    async with app.run_test(size=size) as pilot:
        yield app, pilot


async def click_line(pilot: Pilot[None], screen: str, text: str, column: int, *, below: int = 0) -> None:
    """Clicks the first line of ``screen`` that holds ``text``, or one so many lines below."""
    line = next(y for y, shown in enumerate(screen.split("\n")) if text in shown)
    await pilot.click(offset=(column, line + below))


def type_at_once(app: TaskScopeApp, *keys: str) -> None:
    """Types faster than the app handles keys, as into one that is busy."""
    for key in keys:
        app.post_message(Key(key, key if len(key) == 1 else "/" if key == "slash" else None))
