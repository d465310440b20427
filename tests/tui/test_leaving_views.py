"""A view may be left while an answer for it is pending."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from taskscope.tui.charts import Charts
from taskscope.tui.store import GROUPINGS
from tests.tui.fake_source import FakeSource
from tests.tui.running import running
from tests.tui.screen_text import until, until_shown

if TYPE_CHECKING:
    from textual.screen import Screen

    from taskscope import model
    from taskscope.model import requests


class AnswersTooLate(FakeSource):
    """Says where tasks are parked when the view that asked has lost its panels."""

    def __init__(self) -> None:
        super().__init__(start=250)
        self.view: Screen[Any] | None = None
        self.answered = False

    async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
        while self.view is None or self.view.query("#parked"):
            await asyncio.sleep(0)
        self.answered = True
        return await super().parked(query)


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


class GroupsTooLate(FakeSource):
    """Gives the groups when the overview that asked has lost its panels."""

    def __init__(self) -> None:
        super().__init__(start=250)
        self.view: Screen[Any] | None = None
        self.wanted = self.answered = False

    async def groups(self, query: requests.Groups) -> tuple[model.Group, ...]:
        self.wanted = True
        while self.view is None or self.view.query(Charts):
            await asyncio.sleep(0)
        self.answered = True
        return await super().groups(query)


async def test_groups_for_an_overview_that_has_been_left_are_dropped() -> None:
    source = GroupsTooLate()
    async with running(source) as (app, pilot):
        await until_shown(pilot, "+6,000")
        for _ in GROUPINGS:
            if not source.wanted:
                await pilot.press("g")
                await pilot.pause()
        assert source.wanted
        source.view = app.screen
        app.pop_screen()
        await until(pilot, lambda: source.answered)
        assert app.is_running
