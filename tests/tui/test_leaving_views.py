"""A view may be left while an answer for it is still on its way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.tui.fake_source import FakeSource
from tests.tui.running import running
from tests.tui.screen_text import until, until_shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.screen import Screen

    from taskscope import model


class AnswersTooLate(FakeSource):
    """Says where tasks are parked when the view that asked has lost its panels."""

    def __init__(self) -> None:
        super().__init__(start=250)
        self.view: Screen[Any] | None = None
        self.answered = False

    async def parked(self, sites: Sequence[int] | None) -> tuple[model.ParkedGroup, ...]:
        while self.view is None or self.view.query("#parked"):
            await asyncio.sleep(0)
        self.answered = True
        return await super().parked(sites)


async def test_an_answer_for_a_view_that_has_been_left_is_dropped() -> None:
    source = AnswersTooLate()
    async with running(source) as (app, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "[finding]")
        source.view = app.screen
        await pilot.press("escape")
        await until(pilot, lambda: source.answered)
        await until_shown(pilot, "creation sites")
        assert app.is_running
