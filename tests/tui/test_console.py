"""The key for aiomonitor's console where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.sources.base import NotAvailable
from tests.tui.fake_source import FakeSource
from tests.tui.running import running
from tests.tui.screen_text import until_shown

if TYPE_CHECKING:
    from taskscope.model import requests


class Unconsoled(FakeSource):
    """Says why it has no console."""

    async def console(self, query: requests.Console) -> model.ConsoleAddress:
        raise NotAvailable("no aiomonitor [/] runs in this process")

    async def leave_console(self, query: requests.LeaveConsole) -> None:
        raise AssertionError("nothing was opened")


class Openable(Unconsoled):
    """Would open one."""

    async def console(self, query: requests.Console) -> model.ConsoleAddress:
        assert not query.start
        return model.ConsoleAddress(None, None)


async def test_nothing_is_opened_before_the_user_has_confirmed() -> None:
    async with running(Openable()) as (app, pilot):
        for no in ("escape", "n", "q"):
            await pilot.press("c")
            screen = await until_shown(pilot, "two TCP ports on 127.0.0.1")
            for said in ("orders (pid 4121)", "no authentication", "more memory", "close when you leave"):
                assert said in screen
            await pilot.press(no)
            await until_shown(pilot, "No console opened.")
            app.context.status("")


async def test_the_reason_is_said_in_the_sources_words() -> None:
    async with running(Unconsoled()) as (_, pilot):
        await pilot.press("c")
        await until_shown(pilot, "No aiomonitor [/] runs in this process")


async def test_a_source_that_cannot_have_one_is_named() -> None:
    async with running(FakeSource()) as (_, pilot):
        await pilot.press("c")
        await until_shown(pilot, "Nothing is known of console")
