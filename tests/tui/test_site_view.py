"""The view of a creation site: its panels, its tasks in pages, what remains when the target ends."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope.sources.base import NotAvailable, TargetGone
from taskscope.tui.paging import PAGE
from taskscope.tui.site_panels import AgeHistogram
from taskscope.tui.stack_panel import StackPanel
from taskscope.tui.task_list import TaskList
from tests.tui.fake_source import FakeSource
from tests.tui.running import SIZES, click_line, running
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from taskscope.model import requests


@pytest.mark.parametrize("size", SIZES)
async def test_a_site_shows_how_it_moves_and_its_oldest_tasks(size: tuple[int, int]) -> None:
    async with running(FakeSource(start=250), size) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "LEAK")
        screen = await until_shown(pilot, "of 25,000, oldest first")
        assert "executor.py:231 record_failure" in screen
        assert "live 25,000, +6,000/min" in screen
        assert "asyncio.sleep" in screen
        assert "4m10s" in screen
        assert all(len(line) == size[0] for line in screen.split("\n"))


async def test_a_large_terminal_shows_all_panels_at_once() -> None:
    async with running(FakeSource(start=250), (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        screen = await until_shown(pilot, "24,998  asyncio.sleep")
        assert "0.0s to 5m00s" in screen
        assert "▶  231     line_231()" in screen
        assert "24,000 ████" in screen
        assert "births 100.0/s" in screen
        assert "task 7 was created by, innermost first" in screen
        assert "2  Queue.put" in screen


async def test_a_small_terminal_shows_one_panel_after_the_other() -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "[finding]")
        for front, inside in [
            ("[chart]", "births 100.0/s"),
            ("[source]", "▶  231"),
            ("[parked]", "24,998  asyncio.sleep"),
            ("[ages]", "24,000 ██"),
            ("[stack]", "__main__.py:12 main"),
            ("[finding]", "LEAK"),
        ]:
            await pilot.press("v")
            screen = await until_shown(pilot, inside)
            assert front in screen
        await pilot.click("PanelTabs", offset=(20, 0))
        await until_shown(pilot, "▶  231")


class Late(FakeSource):
    """Its facts, and so the verdict, come only when released."""

    def __init__(self) -> None:
        super().__init__(start=250)
        self.let = asyncio.Event()

    async def facts(self, query: requests.Facts) -> model.SiteFacts:
        await self.let.wait()
        return await super().facts(query)


@pytest.mark.parametrize(("keys", "front"), [("", "[finding]"), ("v", "[source]")])
async def test_a_finding_that_comes_later_is_in_front_unless_the_user_chose_another_panel(
    keys: str, front: str
) -> None:
    source = Late()
    async with running(source) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "[chart] source")
        await pilot.press(*keys)
        source.let.set()
        await until_shown(pilot, "finding")
        assert front in screen_text(pilot.app)


async def test_how_its_tasks_failed_stands_above_who_created_them() -> None:
    class Failing(FakeSource):
        async def site(self, query: requests.Site) -> model.SiteDetail:
            raised = model.Frame("/usr/lib/python3.11/json/decoder.py", 355, "raw_decode", "stdlib")
            own = model.Frame("/srv/orders/orders.py", 12, "charge")
            failure = model.Failure(
                query.site, "ValueError: no such order [/]", raised, own, 12, 0, self.now - 3, 9
            )
            return dataclasses.replace(await super().site(query), failures=(failure,))

    async with running(Failing(start=250), (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "12 failed, the last 3.0s ago: ValueError: no such order [/], raised")
        await until_shown(pilot, "orders.py:12 charge")


async def test_a_place_where_tasks_are_parked_narrows_the_list() -> None:
    source = FakeSource(start=250)
    async with running(source, (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "LEAK")  # it moves the panels
        await until_shown(pilot, "24,998  asyncio.sleep")
        await pilot.click("#parked", offset=(10, 3))
        await pilot.press("enter")
        await until_shown(pilot, "in Queue.put (Esc: all): 1 to")
        await pilot.press("escape")
        screen = await until_shown(pilot, "─tasks: 1 to")
        assert "Queue.put (Esc" not in screen


class Many(FakeSource):
    """300,000 tasks at the leaking site."""

    def live_of(self, site: int, seconds: int | None = None) -> int:
        return 300_000 if site == 1 else super().live_of(site, seconds)


@pytest.mark.parametrize("size", SIZES)
async def test_300000_tasks_are_asked_for_and_drawn_around_the_view_only(size: tuple[int, int]) -> None:
    source = Many(start=250)
    async with running(source, size) as (app, pilot):
        await until_shown(pilot, "300,000")
        await pilot.press("enter")
        await until_shown(pilot, "of 300,000, oldest first")
        await pilot.press("G")
        screen = await until_shown(pilot, "to 300,000 of 300,000")
        await until(pilot, lambda: app.screen.query_one(TaskList).cursor_row is not None)
        assert "▌" in screen
        await pilot.press(*["pageup"] * 10, "g", *["pagedown"] * 10)
        await until(pilot, lambda: app.screen.query_one(TaskList).cursor_row is not None)
        asked = [each for each in source.asked if each.startswith("tasks")]
        assert len(asked) <= 30
        assert all(each.endswith(f" {PAGE}") for each in asked)
        assert len(app.screen.query_one(TaskList).rows) <= 3 * PAGE


async def test_the_order_turns_round_by_key_and_by_click() -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "oldest first")
        await pilot.press("o")
        screen = await until_shown(pilot, "newest first")
        assert "age▴" in screen
        await pilot.click("#members", offset=(5, 1))
        await until_shown(pilot, "oldest first")


async def test_enter_opens_a_task_and_escape_comes_back_to_its_row() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "oldest first")
        await pilot.press("j", "j", "enter")
        await until_shown(pilot, "task 2 decay_after")
        await pilot.press("escape")
        await until_shown(pilot, "oldest first")
        assert app.screen.query_one(TaskList).cursor == 2


class Gone(FakeSource):
    gone = False

    async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
        if self.gone:
            raise TargetGone("the target has ended")
        return await super().parked(query)

    async def tasks(self, query: requests.Tasks) -> model.TaskPage:
        if self.gone:
            raise TargetGone("the target has ended")
        return await super().tasks(query)


async def test_what_was_read_stays_when_the_target_ends() -> None:
    source = Gone(start=250)
    async with running(source, (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "24,998  asyncio.sleep")
        source.gone = True
        source.end()
        await until_shown(pilot, "■ ended")
        await pilot.press("r", "G")
        screen = await until_shown(pilot, "The target has ended")
        assert "24,998  asyncio.sleep" in screen
        assert "▶  231     line_231()" in screen


class Empty(FakeSource):
    """The site has no live tasks left."""

    async def tasks(self, query: requests.Tasks) -> model.TaskPage:
        return model.TaskPage((), 0, None)

    async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
        return ()

    async def ages(self, query: requests.Ages) -> model.Ages:
        return model.Ages((1.0,), (0, 0), 0)

    async def site(self, query: requests.Site) -> model.SiteDetail:
        return dataclasses.replace(await super().site(query), stacks=())


async def test_an_empty_site_says_why_in_every_panel() -> None:
    async with running(Empty(start=250), (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        screen = await until_shown(pilot, "No task of this site is live.  3 lists")
        assert "No task of this site is waiting" in screen
        assert "no live task" in screen
        assert "No creation stacks" in screen


class Sparse(FakeSource):
    async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
        raise NotAvailable("aiomonitor does not say where tasks wait")


async def test_what_a_source_cannot_say_is_said() -> None:
    async with running(Sparse(start=250), (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        screen = await until_shown(pilot, "aiomonitor does not say where tasks wait")
        assert "1 to" in screen


async def test_an_imputed_site_says_that_it_is_a_guess_and_what_else_it_may_be() -> None:
    async with running(FakeSource(start=250), (200, 60)) as (_, pilot):
        screen = await until_shown(pilot, "~book.py:9 watch")
        await click_line(pilot, screen, "~book.py:9", 40)
        await pilot.press("enter")
        screen = await until_shown(pilot, "a guess: its tasks are older than the agent")
        assert "or book.py:31 rewatch" in screen


async def test_a_library_that_starts_tasks_for_others_is_named() -> None:
    source = FakeSource(start=250)
    via = model.Frame("/usr/lib/python3/site-packages/web/group.py", 40, "spawn", "library")
    source.sites[0] = dataclasses.replace(source.sites[0], via=via)
    async with running(source, (200, 60)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "through group.py:40 spawn")


async def test_a_thread_site_lists_its_threads_with_what_they_do_and_the_stack_of_one() -> None:
    async with running(FakeSource(start=250), (200, 60)) as (app, pilot):
        await until_shown(pilot, "thr pool.py:5 start")
        await pilot.press("slash", *"thr pool", "enter", "enter")
        await until_shown(pilot, "4 live, oldest")  # a finding moves the panels
        screen = await until_shown(pilot, "─threads: 4─")
        assert "parked at: 4 threads in 1 place" in screen
        assert "worker-3" in screen
        assert "MainThread" not in screen  # it was not started there
        await until_shown(pilot, "stack, innermost first")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one(StackPanel).has_focus)
        await pilot.click("#parked", offset=(10, 2))
        await pilot.press("enter")
        await until_shown(pilot, "in idle (Esc: all): 4")


@pytest.mark.parametrize("hostile", ["[/] [@click=app.quit]x[/] " + "日本語" * 40, "x" * 2_000])
async def test_hostile_text_is_shown_as_it_is(hostile: str) -> None:
    class Hostile(FakeSource):
        def make_task(self, serial: int, site: int = 1) -> model.Task:
            task = super().make_task(serial, site)
            assert task.parked is not None
            parked = dataclasses.replace(task.parked, text=hostile)
            return dataclasses.replace(task, name=hostile, coroutine=hostile, parked=parked)

        async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
            groups = await super().parked(query)
            return tuple(dataclasses.replace(group, text=hostile) for group in groups)

    source = Hostile(start=250)
    odd = model.Frame(f"/srv/{hostile}.py", 5, hostile)
    source.sites[0] = dataclasses.replace(source.sites[0], frame=odd, user_frame=odd, coroutine=hostile)
    async with running(source, (200, 60)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "LEAK")  # it moves the panels
        await until_shown(pilot, "oldest first")
        await pilot.click("#parked", offset=(10, 2))
        await until_shown(pilot, f"─in {hostile[:6]}")
        await pilot.press("enter")
        await until_shown(pilot, f"task 0 {hostile[:6]}")
        await pilot.press("question_mark")
        await pilot.pause()
        assert app.is_running


def test_the_histogram_never_draws_something_as_nothing() -> None:
    from taskscope.tui.site_panels import _bar, _bars, _folded

    assert _bar(1.0, 10) == "█" * 10
    assert _bar(0.000001, 10) == "▏"
    assert _bar(0, 10) == ""
    bars = _bars(model.Ages((1.0, 60.0), (0, 5, 7), 3))
    assert bars == [("< 1.0s", 0), ("< 1m00s", 5), ("≥ 1m00s", 7), ("unknown", 3)]
    assert _folded(bars, 3) == bars[1:]
    assert _folded(bars, 2) == bars[1:3]
    assert AgeHistogram.can_focus is False


async def test_paused_views_do_not_ask() -> None:
    source = FakeSource(start=250)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until_shown(pilot, "oldest first")
        await pilot.press("space")
        await until_shown(pilot, "‖ paused")
        asked = len(source.asked)
        app.screen.look()  # type: ignore[attr-defined]
        await pilot.pause()
        assert len(source.asked) == asked
        assert "oldest first" in screen_text(app)
