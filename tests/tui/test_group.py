"""The view of a group: three made-up services as one, of which the second leaks faster."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.outliers import LowWater
from taskscope.sources import group
from taskscope.sources.base import ConnectionLost, SourceError
from taskscope.sources.choice import Choice, Found
from taskscope.sources.group import GroupSource
from taskscope.tui.group import GroupScreen
from tests.tui.fake_source import FakeSource
from tests.tui.running import SIZES, click_line, running, type_at_once
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from textual.pilot import Pilot

    from taskscope.sources.base import Source
    from taskscope.tui.app import TaskScopeApp

FAMILY = {4121: 2, 4122: 250, 4123: 2}
"""Pids, and how many seconds each has leaked for."""


class Family(Choice):
    """Those of ``FAMILY`` under 4100, and one that refuses."""

    def find(self, living: Iterable[int] = ()) -> list[Found]:
        return [Found((pid, 0.0), str(pid), pid, "orders", "forked", 4100) for pid in (*FAMILY, 4999)]


class Service:
    """The sources of the members, as they are connected to."""

    def __init__(self) -> None:
        self.connected: dict[int, list[FakeSource]] = {}

    def connect(self, found: Found) -> Source:
        if found.pid not in FAMILY:
            raise SourceError("another user's: run taskscope as that user or as root")
        source = FakeSource(pid=found.pid, start=FAMILY[found.pid])
        self.connected.setdefault(found.pid, []).append(source)
        return source


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "INTERVAL", 0.1)


@asynccontextmanager
async def family(
    size: tuple[int, int] = (100, 40),
) -> AsyncIterator[tuple[TaskScopeApp, Pilot[None], Service]]:
    service = Service()
    source = GroupSource(Family(("4100",), children=True), service.connect)
    async with running(source, size) as (app, pilot):
        await until_shown(pilot, "executor.py:231")
        yield app, pilot, service


@pytest.mark.parametrize("size", SIZES)
async def test_sums_sites_and_processes_are_shown(size: tuple[int, int]) -> None:
    async with family(size) as (_app, pilot, _):
        screen = await until_shown(pilot, "25,400")  # 200 + 25,000 + 200
        assert "3 processes, 1 refused" in screen
        assert "3/3" in screen
        if size == SIZES[0]:
            assert "another user's" not in screen
            await pilot.press("p")
        screen = await until_shown(pilot, "refused: another")
        assert [pid in screen for pid in ("4121", "4122", "4123", "4999")] == [True] * 4
        if size == SIZES[0]:
            assert "Δ/min" not in screen  # the sites make room
            await pilot.press("p")
            await until_shown(pilot, "creation sites")


async def test_a_process_that_keeps_far_more_than_its_siblings_is_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LowWater, "WINDOW", 0.0)
    async with family() as (_, pilot, _service):
        await until_shown(pilot, "▲4122")


async def test_where_there_is_room_each_process_has_a_column_of_its_own() -> None:
    async with family(SIZES[1]) as (_, pilot, _service):
        screen = await until_shown(pilot, "4121      4122      4123")
        row = next(line for line in screen.splitlines() if "executor.py:231" in line and "3/3" in line)
        assert re.search(r"3/3 +200 +25,000 +200 +executor", row)
    async with family((120, 40)) as (_, pilot, _service):
        assert "25,000  " not in await until_shown(pilot, "3/3")


async def test_enter_on_a_process_opens_it_and_escape_comes_back() -> None:
    async with family() as (app, pilot, service):
        await pilot.press("p", "j", "enter")
        screen = await until_shown(pilot, "pid 4122")
        assert "25,0" in screen
        assert len(service.connected[4122]) == 2  # a connection of its own
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, GroupScreen))
        assert service.connected[4122][1].closed
        assert not service.connected[4122][0].closed
        await until_shown(pilot, "3 processes, 1 refused")


async def test_a_process_opened_from_the_group_has_the_groups_verdict_at_once_and_is_not_judged_twice() -> (
    None
):
    async with family() as (_, pilot, service):
        await until_shown(pilot, "LEAK")
        await pilot.press("p", "j", "enter")
        await until_shown(pilot, "pid 4122")
        await until_shown(pilot, "LEAK")
        mine = service.connected[4122][1]
        mine.advance(3)
        await until_shown(pilot, f"tasks {mine.sample().tasks.live:,}")
        assert "stalls" in service.connected[4122][0].asked  # by the group's judge
        assert "stalls" not in mine.asked


async def test_a_process_opened_from_the_group_is_followed_while_the_group_is_attached_to_it() -> None:
    async with family() as (app, pilot, service):
        await pilot.press("p", "j", "enter")
        await until_shown(pilot, "pid 4122")
        service.connected[4122][1].end()  # only this connection
        await until(pilot, lambda: len(service.connected[4122]) == 3)
        await until(pilot, lambda: "● live" in screen_text(app) and "pid 4122" in screen_text(app))


async def test_a_lost_connection_is_made_again_on_c_that_of_the_group_beneath_too() -> None:
    async with family() as (app, pilot, service):
        beneath = app.context
        await pilot.press("p", "j", "enter")
        await until_shown(pilot, "pid 4122")
        service.connected[4122][1].end(ConnectionLost("connection lost: 'ssh host' has ended"))
        await until_shown(pilot, "Showing the last data; C connects again.")
        assert len(service.connected[4122]) == 2
        await pilot.press("C")
        await until(pilot, lambda: len(service.connected[4122]) == 3)
        await until(pilot, lambda: "● live" in screen_text(app))
        assert beneath.again.is_set()


async def test_a_process_that_ended_keeps_its_last_data_and_says_how_to_get_back() -> None:
    async with family() as (app, pilot, service):
        await pilot.press("p", "j", "enter")
        await until_shown(pilot, "pid 4122")
        of_the_group, mine = service.connected[4122]
        of_the_group.end()
        await until(pilot, lambda: of_the_group.closed)
        mine.end()
        screen = await until_shown(pilot, "Showing the last data; Esc goes back to the group.")
        assert "executor.py:231" in screen
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, GroupScreen))
        await until_shown(pilot, "2 processes, 1 ended, 1 refused")


async def test_enter_on_a_site_opens_it_in_the_process_where_it_is_worst() -> None:
    async with family() as (_, pilot, _service):
        await pilot.press("enter")
        screen = await until_shown(pilot, "pid 4122")
        await until_shown(pilot, "live 25,000")
        assert "decay_after" in screen
        await pilot.press("escape", "escape")
        await until_shown(pilot, "3 processes, 1 refused")


async def test_a_process_that_cannot_be_opened_says_why() -> None:
    async with family() as (app, pilot, _):
        await pilot.press("p", "G", "enter")
        await until_shown(pilot, "4999: refused: another user's")
        assert isinstance(app.screen, GroupScreen)


async def test_keys_for_one_process_say_so() -> None:
    async with family() as (_, pilot, _service):
        for key in ("t", "2", "w"):
            await pilot.press(key)
            await until_shown(pilot, "This key is for one process")


async def test_one_that_ends_stays_listed_with_when() -> None:
    async with family() as (app, pilot, service):
        service.connected[4123][0].end()
        await until_shown(pilot, "2 processes, 1 ended, 1 refused")
        row = re.compile(r" 4123 .* ended \d\d:\d\d:\d\d after")
        await until(pilot, lambda: row.search(screen_text(app)) is not None)


def shown(app: TaskScopeApp) -> list[str]:
    """The pids of the table of processes, from the top."""
    return re.findall(r"^.[ ]*(4\d\d\d) ", screen_text(app), re.MULTILINE)


def under_the_cursor(app: TaskScopeApp) -> str:
    found = re.search(r"▌ *(\d+) ", screen_text(app))
    return found[1] if found is not None else ""


async def test_processes_are_sorted_by_key_and_by_mouse_and_the_cursor_stays_on_its_process() -> None:
    async with family(SIZES[0]) as (app, pilot, _):
        await pilot.press("p", "j", "j")
        await until(pilot, lambda: under_the_cursor(app) == "4123")
        assert shown(app) == ["4121", "4122", "4123", "4999"]
        assert "3 processes, 1 refused · by state ▴" in screen_text(app)
        header = next(line for line in screen_text(app).splitlines() if "findings" in line)
        await click_line(pilot, screen_text(app), "findings", header.index("tasks"))
        await until_shown(pilot, "by tasks ▾")
        assert shown(app)[0] == "4122"
        assert shown(app)[-1] == "4999"
        assert under_the_cursor(app) == "4123"
        await pilot.press("S")
        await until_shown(pilot, "by tasks ▴")
        assert shown(app)[2:] == ["4122", "4999"]  # what is not known stays last
        await pilot.press("s")
        await until_shown(pilot, "by rss ▾")
        assert under_the_cursor(app) == "4123"


async def test_a_process_with_a_finding_says_where_that_is() -> None:
    async with family(SIZES[0]) as (_, pilot, _service):
        await pilot.press("p")
        await until_shown(pilot, "1 leak     executor.py:231 reco")


async def test_processes_are_filtered_by_what_their_rows_say() -> None:
    async with family(SIZES[0]) as (app, pilot, _):
        await pilot.press("p", "slash", *"refused", "enter")
        await until(pilot, lambda: shown(app) == ["4999"])
        assert "filter: refused" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(shown(app)) == 4)
        await pilot.press("escape")  # and then back to the sites
        await until_shown(pilot, "creation sites")
        await pilot.press("slash", *"executor", "enter")
        await until_shown(pilot, "filter: executor")


async def test_what_is_typed_ahead_after_a_slash_is_the_filter_of_the_list_with_the_focus() -> None:
    async with family(SIZES[1]) as (app, pilot, _):
        type_at_once(app, "slash", *"4122", "enter")
        await until_shown(pilot, "filter: 4122")
        await pilot.press("escape", "p")
        type_at_once(app, "slash", *"4123", "enter")
        await until(pilot, lambda: shown(app) == ["4123"])


async def test_each_list_has_its_own_filter_where_both_are_shown() -> None:
    async with family(SIZES[1]) as (app, pilot, _):
        await pilot.press("slash", *"executor", "enter", "p", "slash", *"4122", "enter")
        await until(pilot, lambda: shown(app) == ["4122"])
        assert "filter: executor" in screen_text(app)
        assert "filter: 4122" in screen_text(app)


async def test_the_cursor_stays_on_its_process_before_a_key_is_pressed() -> None:
    async with family(SIZES[1]) as (app, pilot, service):
        await until(pilot, lambda: shown(app)[:1] == ["4121"])
        service.connected[4121][0].end()
        await until_shown(pilot, "2 processes, 1 ended")
        app.context.clock = lambda: 1010.0  # time to sort again
        await until(pilot, lambda: shown(app) == ["4122", "4123", "4999", "4121"])
        await pilot.press("p")
        await until(pilot, lambda: under_the_cursor(app) == "4121")
