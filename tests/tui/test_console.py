"""The key for aiomonitor's console where there is none."""

from __future__ import annotations

from taskscope.sources.base import NotAvailable
from tests.tui.fake_source import FakeSource
from tests.tui.running import running
from tests.tui.screen_text import until_shown


class Unconsoled(FakeSource):
    """Says why it has no console."""

    async def console(self) -> tuple[str, int]:
        raise NotAvailable("no aiomonitor [/] runs in this process")


async def test_the_reason_is_said_in_the_sources_words() -> None:
    async with running(Unconsoled()) as (_, pilot):
        await pilot.press("c")
        await until_shown(pilot, "no aiomonitor [/] runs in this process")


async def test_a_source_that_cannot_have_one_is_said() -> None:
    async with running(FakeSource()) as (_, pilot):
        await pilot.press("c")
        await until_shown(pilot, "A saved state has no console")
