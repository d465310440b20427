"""The view of resources: what it shows, how it is filtered and sorted, when it cannot answer."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope.sources.base import NotAvailable
from taskscope.tui.line_table import LineTable
from taskscope.tui.resource_rows import Changes, rows_of
from taskscope.tui.stack_panel import StackPanel
from taskscope.tui.views.resources import ResourcesScreen
from tests.tui.fake_source import FakeSource
from tests.tui.running import SIZES, click_line, running
from tests.tui.screen_text import until_shown

if TYPE_CHECKING:
    from textual.app import App

    from taskscope.model import requests
    from taskscope.tui.resource_rows import Row

RESOURCES = "6"


def kinds(app: App[None]) -> list[str]:
    table: LineTable[Row] = app.screen.query_one(LineTable)
    return [row.kind for row in table.rows]


@pytest.mark.parametrize("size", SIZES)
async def test_each_kind_is_shown_with_what_decides(size: tuple[int, int]) -> None:
    async with running(FakeSource(), size) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        screen = await until_shown(pilot, "Session")
        assert "650 timers" in screen
        assert "1 context variable" in screen
        for text in (
            "Session.",
            "asyncio.sleep",
            "due 1h58m",
            "24 kB",
            "~session.py:41",
            "render",
            "_UnixSele",
        ):
            assert text in screen
        assert all(len(line) == size[0] for line in screen.split("\n"))


async def test_a_wide_screen_shows_all_of_it() -> None:
    async with running(FakeSource(), (200, 60)) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        screen = await until_shown(pilot, "Session")
        for text in (
            "due 1h58m to 2h00m",
            "Request in 55 tasks and timers",
            "full, 4 of 4 workers busy, 17 jobs queued",
            "open, only the loop refers to 6 of 6",
            "not waited for",
            "12 wait up to 1m30s, held by Task-7 at orders.py:40",
            "accepted on 0.0.0.0:8080",
            "tenants.py:7 open_tenant",
            "1 loop does not show its timers",
            "12 cancelled, not yet removed",
            "inferred: a timer does not say which line armed it",
            "they call a method of Session, each its own",
            "the connection of 6 is closed",
            "nothing else refers to what 6 of them hold: 24 kB each",
        ):
            assert text in screen


async def test_one_kind_at_a_time() -> None:
    async with running(FakeSource()) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        await until_shown(pilot, "Session")
        whole = kinds(app)
        await pilot.press("v")
        await until_shown(pilot, "650 timers, only timer")
        assert kinds(app) == ["timer", "timer"]
        await pilot.press("v")
        await until_shown(pilot, "1 context variable, only context")
        await pilot.press("v", "v", "v", "v", "v", "v")
        await until_shown(pilot, "30 descriptors, only fd")
        await pilot.press("v")
        await until_shown(pilot, "1 primitive, only primitive")
        await pilot.press("v")
        assert kinds(app) == whole


async def test_headers_and_s_sort() -> None:
    async with running(FakeSource()) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        await until_shown(pilot, "Session")
        table: LineTable[Row] = app.screen.query_one(LineTable)
        await pilot.click(LineTable, offset=(13, 0))
        await until_shown(pilot, "count▾")
        assert [row.count for row in table.rows] == sorted((row.count for row in table.rows), reverse=True)
        await pilot.press("s", "s")
        await until_shown(pilot, "each▾")
        assert [row.kind for row in table.rows][:2] == ["timer", "context"]


async def test_the_detail_follows_the_cursor_and_takes_the_focus() -> None:
    async with running(FakeSource(), (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        screen = await until_shown(pilot, "▸ session.py:41 Session.touch")
        await click_line(pilot, screen, "ffmpeg", 30)
        await until_shown(pilot, "subprocess ffmpeg ──")
        await pilot.press("enter")
        assert app.screen.query_one(StackPanel).has_focus
        await pilot.press("escape")
        assert app.screen.query_one(LineTable).has_focus
        await pilot.press("escape")
        await until_shown(pilot, "creation sites")


async def test_without_any_it_says_so() -> None:
    class Bare(FakeSource):
        async def timers(self, query: requests.Timers) -> model.Timers:
            return model.Timers(self.now)

        async def resources(self, query: requests.Resources) -> model.Resources:
            return model.Resources(self.now)

    async with running(Bare()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        await until_shown(pilot, "The process has none.")


async def test_a_source_that_cannot_tell_says_why() -> None:
    class Silent(FakeSource):
        async def timers(self, query: requests.Timers) -> model.Timers:
            raise NotAvailable("[/] this source does not know")

    async with running(Silent()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(RESOURCES)
        await until_shown(pilot, "[/] this source does not know.")


async def test_timers_that_pile_up_are_marked_and_found_from_the_findings() -> None:
    class Leaking(FakeSource):
        async def timers(self, query: requests.Timers) -> model.Timers:
            timers = await super().timers(query)
            session = dataclasses.replace(timers.groups[0], live=20 * (self.seconds - 50))
            return dataclasses.replace(timers, groups=(session,))

    source = Leaking()
    async with running(source, (120, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        for _ in range(300):  # until the judge has looked often enough
            if any(each.kind == "timer" for each in app.context.store.findings.top):
                break
            source.advance()
            await pilot.pause(0.02)
        await pilot.press("f")
        screen = await until_shown(pilot, "timers are armed and never")
        await click_line(pilot, screen, "~session.py:41", 20)
        if not isinstance(app.screen, ResourcesScreen):  # a click on the row under the cursor opens it
            await pilot.press("enter")
        await until_shown(pilot, "! Session.expire")


def test_changes_are_measured_over_the_last_minute() -> None:
    def row(count: int) -> Row:
        resources = model.Resources(0.0, (model.Resource("subprocess", "cat", count),))
        return rows_of(model.Timers(0.0), resources)[0]

    changes = Changes()
    changes.add(0.0, [row(5)])
    assert changes.of(row(5)) is None
    for second in range(1, 200):
        changes.add(float(second), [row(5 + max(0, second - 100))])
    assert changes.of(row(0)) == pytest.approx(60.0)
    changes.add(201.0, [])
    assert changes.of(row(0)) is None
