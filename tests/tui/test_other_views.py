"""Threads, ended tasks, stalls and loops: what they show, when they are empty, when they cannot answer."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope.sources.base import NotAvailable
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.line_table import LineTable
from tests.tui.fake_source import FakeSource
from tests.tui.running import SIZES, running
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from taskscope.model import requests

THREADS, ENDED, STALLS, LOOPS = "2", "3", "4", "5"


@pytest.mark.parametrize("size", SIZES)
async def test_threads_show_what_they_do_and_the_queue_of_their_executor(size: tuple[int, int]) -> None:
    async with running(FakeSource(), size) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(THREADS)
        screen = await until_shown(pilot, "○ idle")
        assert "5 threads" in screen
        assert "ThreadPoolExecutor-0 4/4 workers, 17 queued" in screen
        assert "● running" in screen
        assert "runs loop 1" in screen
        assert "○ idle" in screen
        assert all(len(line) == size[0] for line in screen.split("\n"))
        await until_shown(pilot, "__main__.py:12 main")


async def test_the_stack_follows_the_cursor_and_opens() -> None:
    class Stacks(FakeSource):
        async def thread(self, query: requests.Thread) -> model.ThreadDetail:
            detail = await super().thread(query)
            return dataclasses.replace(detail, stack=(model.Frame(f"/srv/t{query.ident}.py", 3, "work"),))

    async with running(Stacks(), (80, 40)) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(THREADS)
        await until_shown(pilot, "t1.py:3 work")
        await pilot.press("j", "j")
        await until_shown(pilot, "t11.py:3 work")
        await until_shown(pilot, "─worker-1, idle")
        await pilot.press("enter", "j", "enter")
        await until_shown(pilot, "▶    3")
        await pilot.press("escape", "j")
        await until_shown(pilot, "t12.py:3 work")


async def test_threads_as_a_tree_by_which_started_which() -> None:
    async with running(FakeSource()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(THREADS)
        await until_shown(pilot, "MainThread")
        await pilot.press("v")
        screen = await until_shown(pilot, "▾ MainThread  runs loop 1")
        assert "    worker-0  idle" in screen
        await pilot.press("h")
        await until(pilot, lambda: "worker-0" not in screen_text(pilot.app))


async def test_a_reused_identifier_does_not_make_threads_their_own_ancestors() -> None:
    class Reused(FakeSource):
        async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
            main, one, two, *_ = await super().threads(query)
            one = dataclasses.replace(one, parent=two.ident, birth=5.0)
            return main, one, dataclasses.replace(two, parent=one.ident, birth=9.0)

    async with running(Reused()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(THREADS, "v")
        screen = await until_shown(pilot, "▾ worker-0")
        assert "worker-1" in screen


async def test_stuck_threads_come_first_and_what_they_do_is_not_cut_off() -> None:
    doing = "waits for a lock at book.py:231"

    class Stuck(FakeSource):
        async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
            *others, last = await super().threads(query)
            return (*others, dataclasses.replace(last, state="waiting", text=doing))

        async def waits(self, query: requests.Waits) -> model.WaitGraph:
            since = {13: self.now - 60, 12: self.now - 1}
            nodes = [model.WaitNode(at, "thread", "", at, since=since[at]) for at in since]
            return model.WaitGraph(self.now, (*nodes, model.WaitNode(3, "lock", "", 11)), ())

    async with running(Stuck()) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(THREADS)
        screen = await until_shown(pilot, "■ stuck")
        assert "5 threads   1 stuck" in screen
        assert doing in screen
        table = app.screen.query_one(LineTable)
        assert [row.name for row in table.rows][:2] == ["worker-3", "MainThread"]
        await pilot.press("s")
        await until_shown(pilot, "cpu s▾")
        assert [row.name for row in table.rows][:2] == ["worker-3", "MainThread"]


async def test_threads_sort_by_cpu_and_name() -> None:
    async with running(FakeSource()) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(THREADS)
        await until_shown(pilot, "MainThread")
        await click_heading(pilot, "cpu s")
        await until_shown(pilot, "cpu s▾")
        table = app.screen.query_one(LineTable)
        await until(pilot, lambda: next(row.name for row in table.rows) == "MainThread")
        await click_heading(pilot, "name")
        await until_shown(pilot, "name▴")


async def click_heading(pilot: Pilot[None], word: str) -> None:
    """Clicks a column's heading where it stands: columns are as wide as what they show."""
    heading = screen_text(pilot.app).split("\n")
    line = next(y for y, shown in enumerate(heading) if "cpu s" in shown and "name" in shown)
    await pilot.click(offset=(heading[line].index(word) + 1, line))


async def test_the_slower_the_target_answers_the_less_it_is_asked() -> None:
    class Slow(FakeSource):
        clock = 1000.0

        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        async def loops(self, query: requests.Loops) -> tuple[model.Loop, ...]:
            self.times.append(self.clock)
            self.clock += 2.0
            return await super().loops(query)

    source = Slow()
    app = TaskScopeApp(source, clock=lambda: source.clock)
    async with app.run_test() as pilot:
        await until_shown(pilot, "● live")
        await pilot.press(LOOPS)
        await until_shown(pilot, "1 event loop ")
        while len(source.times) < 3:
            source.clock += 0.5
            source.advance()
            await pilot.pause()
            assert source.clock < 1100
        gaps = [later - earlier for earlier, later in itertools.pairwise(source.times)]
        assert min(gaps) >= 2.0 + 4 * 2.0 - 2.0


@pytest.mark.parametrize("size", SIZES)
async def test_ended_tasks_show_how_and_narrow_to_one_outcome(size: tuple[int, int]) -> None:
    async with running(FakeSource(), size) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(ENDED)
        screen = await until_shown(pilot, "100 of the last 100 ended tasks")
        for sign in ("✓ finished", "✗ failed", "⊘ cancelled", "? lost"):
            assert sign in screen
        assert "ValueError('no price')" in screen
        assert "v Outcome" in screen
        await pilot.press("v")
        screen = await until_shown(pilot, "25 of the last 100 ended tasks, only failed")
        assert "✓ finished   " not in screen.split("\n", 3)[3]
        await pilot.press("enter")
        await until_shown(pilot, "server.py:52 handle   live")


async def test_a_stall_shows_the_code_that_held_the_loop() -> None:
    async with running(FakeSource(), (80, 40)) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(STALLS)
        screen = await until_shown(pilot, "1 stall ")
        assert "800 ms" in screen
        assert "book.py:77 reprice" in screen
        await until_shown(pilot, "▶   77")
        await pilot.press("enter", "G", "enter")
        await until_shown(pilot, "task 12 decay_after")


async def test_a_stall_that_lasts_says_so() -> None:
    class Lasting(FakeSource):
        async def stalls(self, query: requests.Stalls) -> tuple[model.Stall, ...]:
            (stall,) = await super().stalls(query)
            asleep = dataclasses.replace(stall, why="asleep", at_least=True, began=stall.began + 1)
            return (stall, asleep, dataclasses.replace(stall, over=False, began=stall.began + 5, stack=()))

    async with running(Lasting()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(STALLS)
        screen = await until_shown(pilot, "1 not over yet")
        assert "now     800 ms  lasting" in screen
        assert "≥800 ms  asleep" in screen
        assert "no stack was captured" in screen


@pytest.mark.parametrize("size", SIZES)
async def test_loops_show_how_late_they_are_and_their_thread(size: tuple[int, int]) -> None:
    async with running(FakeSource(), size) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(LOOPS)
        screen = await until_shown(pilot, "1 event loop ")
        assert "● running" in screen
        assert "1.9 ms" in screen
        assert "MainThread" in screen
        screen = await until_shown(pilot, "callbacks by looks; asleep on 0 of 250 looks in 0.5 s")
        assert "41,234" in screen
        assert "250  Scope.deliver  scope.py:610" in screen
        assert "Scope.deliver queues itself at scope.py:610" in screen


class Nothing(FakeSource):
    async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
        return ()

    async def ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
        return ()

    async def stalls(self, query: requests.Stalls) -> tuple[model.Stall, ...]:
        return ()

    async def loops(self, query: requests.Loops) -> tuple[model.Loop, ...]:
        return ()


class Mute(FakeSource):
    async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
        raise NotAvailable("[/] this source does not know")

    async def ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
        raise NotAvailable("[/] this source does not know")

    async def stalls(self, query: requests.Stalls) -> tuple[model.Stall, ...]:
        raise NotAvailable("[/] this source does not know")

    async def loops(self, query: requests.Loops) -> tuple[model.Loop, ...]:
        raise NotAvailable("[/] this source does not know")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (THREADS, "This source has no threads"),
        (ENDED, "No task has ended since the agent started"),
        (STALLS, "No stall since the agent started"),
        (LOOPS, "No event loop has run since the agent started"),
    ],
)
async def test_empty_views_say_why_and_mute_sources_too(key: str, reason: str) -> None:
    async with running(Nothing()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(key)
        await until_shown(pilot, reason)
    async with running(Mute()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(key)
        await until_shown(pilot, "[/] this source does not know")


@pytest.mark.parametrize("hostile", ["[/] [@click=app.quit]x[/] " + "日本語" * 40, "x" * 2_000])
async def test_hostile_text_is_shown_as_it_is(hostile: str) -> None:
    class Hostile(FakeSource):
        async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
            threads = await super().threads(query)
            return tuple(dataclasses.replace(each, name=hostile, text=hostile) for each in threads)

        async def ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
            return tuple(
                dataclasses.replace(each, error=hostile, coroutine=hostile, name=hostile)
                for each in await super().ended(query)
            )

        async def loops(self, query: requests.Loops) -> tuple[model.Loop, ...]:
            return tuple(dataclasses.replace(each, kind=hostile) for each in await super().loops(query))

    async with running(Hostile()) as (app, pilot):
        await until_shown(pilot, "● live")
        for key in (THREADS, ENDED, LOOPS):
            await pilot.press(key)
            await until_shown(pilot, hostile[:6])
            await pilot.press("v", "y", "j", "question_mark", "escape")
            await pilot.pause()
            assert app.is_running


@pytest.mark.parametrize("key", ["t", THREADS, ENDED, STALLS, LOOPS])
async def test_every_view_explains_itself_and_leads_back(key: str) -> None:
    async with running(FakeSource()) as (_, pilot):
        await until_shown(pilot, "executor.py:231")
        await pilot.press(key, "question_mark")
        await until_shown(pilot, "Esc closes")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "creation sites")


@pytest.mark.parametrize("key", [THREADS, ENDED, STALLS, LOOPS])
async def test_what_was_read_stays_when_the_target_ends(key: str) -> None:
    source = FakeSource()
    async with running(source, (80, 40)) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(key)
        shown = {THREADS: "worker-3", ENDED: "ValueError('no price')", STALLS: "800 ms", LOOPS: "MainThread"}
        await until_shown(pilot, shown[key])
        source.end()
        screen = await until_shown(pilot, "■ ended")
        assert shown[key] in screen
