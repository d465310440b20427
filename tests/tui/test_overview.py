"""The overview's table and charts as the user works with them."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from taskscope.model import Counts, Process, Sample, Thread, requests
from taskscope.tui import overview
from taskscope.tui.findings_panel import most
from taskscope.tui.site_table import SiteTable
from taskscope.tui.theme import palette
from taskscope.tui.views.site import SiteScreen
from tests.tui.fake_source import LEAK, FakeSource
from tests.tui.screen_text import screen_text, until, until_shown
from tests.tui.test_app import Clock, running

if TYPE_CHECKING:
    from rich.style import Style

    from taskscope.model import Group
    from taskscope.tui.app import TaskScopeApp


def rows(app: TaskScopeApp) -> list[str]:
    """The sites as listed, top to bottom."""
    return [row.label.split()[0] for row in app.screen.query_one(SiteTable).rows]


async def test_sorted_by_growth_first_and_by_any_column_on_request() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        assert rows(app)[0] == "executor.py:231"
        assert "by growth ▾" in screen_text(app)
        for _ in range(20):
            if "by site ▴" in screen_text(app):
                break
            await pilot.press("s")
            await pilot.pause()
        assert rows(app) == sorted(rows(app))
        await pilot.press("S")
        await pilot.pause()
        assert rows(app) == sorted(rows(app), reverse=True)


async def test_a_click_on_a_columns_head_sorts_by_it_and_again_turns_it_round() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        table = app.screen.query_one(SiteTable)
        x = screen_text(app).split("\n")[table.region.y].index("live")
        await pilot.click(SiteTable, offset=(x + 2, 0))
        await until_shown(pilot, "by live ▾")
        assert rows(app)[:2] == ["executor.py:231", "stream.py:88"]
        await pilot.click(SiteTable, offset=(x + 2, 0))
        await until_shown(pilot, "by live ▴")
        assert rows(app)[-1] == "executor.py:231"


async def test_the_users_own_line_stands_before_a_librarys_where_it_fits() -> None:
    both, library = "api.py:17 serve → server.py:52 handle", "server.py:52 handle"
    async with running(FakeSource(start=250), size=(200, 60)) as (_, pilot):
        await until_shown(pilot, both)
        await pilot.press("slash", *"api.py", "enter")
        await until_shown(pilot, "1 of ")
    async with running(FakeSource(start=250), size=(100, 60)) as (_, pilot):
        assert both not in await until_shown(pilot, library)


async def test_equal_rows_keep_their_places() -> None:
    source = FakeSource(start=250, quiet_sites=30)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "+6,000")
        before = [row for row in rows(app) if row.startswith("part")]
        assert len(before) == 30
        for _ in range(3):
            source.advance(2)
            await pilot.press("S", "S")
            await pilot.pause()
        assert [row for row in rows(app) if row.startswith("part")] == before


async def test_the_cursor_stays_on_its_row_and_the_order_is_held_while_moving() -> None:
    source, clock = FakeSource(start=250), Clock()
    async with running(source, clock=clock) as (app, pilot):
        await until_shown(pilot, "+6,000")
        table = app.screen.query_one(SiteTable)
        await pilot.press("j")
        held = table.cursor_row
        assert held is not None
        before = rows(app)
        grown = dataclasses.replace(
            source.sample(full=True).sites[1],
            counts=dataclasses.replace(source.counts(2).counts, live=90_000, born=90_000),
        )
        source._queue.put_nowait(dataclasses.replace(source.sample(), sites=(grown,)))
        await until_shown(pilot, "order held while you navigate")
        assert rows(app) == before
        clock.now += 60
        source.advance(30)
        await until(pilot, lambda: "order held" not in screen_text(app))
        await until(pilot, lambda: rows(app)[0] == "stream.py:88")
        assert table.cursor_row is held


async def test_until_touched_the_cursor_stays_on_top() -> None:
    source, clock = FakeSource(start=250), Clock()
    async with running(source, clock=clock) as (app, pilot):
        await until_shown(pilot, "+6,000")
        grown = dataclasses.replace(
            source.counts(2), counts=dataclasses.replace(source.counts(2).counts, live=90_000, born=90_000)
        )
        source._queue.put_nowait(dataclasses.replace(source.sample(), sites=(grown,)))
        clock.now += 60
        source.advance(30)
        await until(pilot, lambda: rows(app)[0] == "stream.py:88")
        assert app.screen.query_one(SiteTable).cursor == 0


async def test_a_large_screen_is_used() -> None:
    async with running(FakeSource(start=250), size=(200, 60)) as (app, pilot):
        await until_shown(pilot, "LEAK")
        screen = screen_text(app)
        for title in (
            "tasks 25,061",
            "rss 141 MB",
            "descriptors 212",
            "threads 14",
            "cpu 31 %",
            "loop latency",
        ):
            assert f" {title}" in screen
        blank = sum(not line.strip() for line in screen.splitlines())
        assert blank < 60 / 3
        assert (most(24), most(36), most(60)) == (1, 3, 5)


class Taskless(FakeSource):
    def sample(self, *, full: bool = False) -> Sample:
        sample = super().sample(full=full)
        return dataclasses.replace(sample, tasks=Counts(0, 0, 0, 0), sites=(), new_sites=())


async def test_an_empty_table_says_what_runs_that_it_does_not_show() -> None:
    class Green(Taskless):
        @property
        def process(self) -> Process:
            return dataclasses.replace(super().process, unseen=("gevent",))

    async with running(Green(start=250)) as (app, pilot):
        await until_shown(pilot, "orders runs gevent: greenlets are not shown; threads are")
        assert "+ gevent" in screen_text(app)


async def test_a_process_without_tasks_charts_its_threads() -> None:
    async with running(Taskless(start=250)) as (_, pilot):
        await until_shown(pilot, "threads 14, 5 min")


@pytest.mark.parametrize(("fds", "role"), [(700, "text"), (830, "warning"), (1000, "alarm")])
async def test_a_limit_that_is_near_warns_and_then_alarms(
    fds: int, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")

    class Near(FakeSource):
        def sample(self, *, full: bool = False) -> Sample:
            return dataclasses.replace(super().sample(full=full), fds=fds)

    async with running(Near(start=250)) as (app, pilot):
        await until_shown(pilot, f"fds {fds:,}/1,024")
        strip = app.screen._compositor.render_strips(app.size)[1]
        shown = next(segment.style for segment in strip if f"{fds:,}/1,024" in segment.text)
        wanted: Style = getattr(palette(app.theme_variables), role)
        assert shown
        assert shown.color is not None
        assert wanted.color is not None
        distance = zip(shown.color.get_truecolor(), wanted.color.get_truecolor(), strict=True)
        assert all(abs(one - other) < 8 for one, other in distance)


async def test_truncated_text_is_written_out_below() -> None:
    async with running(FakeSource(start=250), size=(80, 24)) as (app, pilot):
        await until_shown(pilot, "LEAK")
        await until_shown(pilot, "coroutine decay_after")
        await pilot.press("j")
        await until_shown(pilot, "coroutine respond")
        lines = screen_text(app).splitlines()
        assert "born/s 309.8" in lines[-4] + lines[-3]
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: "coroutine respond" not in screen_text(app))


async def test_the_words_that_decide_are_whole_for_the_current_row_of_every_list() -> None:
    waits = "a lock held by worker-3, which waits for the lock that MainThread holds in reprice"

    class Waiting(FakeSource):
        async def threads(self, query: requests.Threads) -> tuple[Thread, ...]:
            first, *rest = await super().threads(query)
            return (dataclasses.replace(first, text=waits), *rest)

    async with running(Waiting(start=250), size=(80, 24)) as (app, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("2")
        await until(pilot, lambda: waits in " ".join(screen_text(app).split()))
        await pilot.press("v")
        await until(pilot, lambda: waits in " ".join(screen_text(app).split()))


async def test_the_display_ages_while_paused() -> None:
    source, clock = FakeSource(start=250), Clock()
    async with running(source, clock=clock) as (app, pilot):
        await until_shown(pilot, "0.0s ago")
        await pilot.press("space")
        source.advance()
        clock.now += 42
        await until_shown(pilot, "42s ago")
        await pilot.press("space")
        await until(pilot, lambda: "42s ago" not in screen_text(app))


async def test_filter_needs_every_word_and_says_how_many_of_how_many() -> None:
    async with running(FakeSource(start=250, quiet_sites=20)) as (app, pilot):
        await until_shown(pilot, "creation sites (25)")
        await pilot.press("slash", *"book WATCH", "enter")
        screen = await until_shown(pilot, "creation sites (1 of 25)")
        assert "~book.py:9 watch" in screen
        assert "decay_after" not in screen
        assert app.focused is app.screen.query_one(SiteTable)
        await pilot.press("escape")
        await until_shown(pilot, "creation sites (25)")


async def test_a_filter_that_matches_nothing_says_what_to_do() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("slash", *"nowhere")
        await until_shown(pilot, "Nothing matches “nowhere”.  Esc clears the filter.")
        await pilot.press("escape")
        await until_shown(pilot, "executor.py:231")
        assert not app.screen.query_one(Input).has_class("-open")


async def test_groupings_by_coroutine_and_by_what_only_the_agent_knows() -> None:
    source = FakeSource(start=250, quiet_sites=22)
    async with running(source) as (_, pilot):
        await until_shown(pilot, "creation sites (27)")
        await pilot.press("g")
        await until_shown(pilot, "api.py:17 serve")
        await pilot.press("g")
        screen = await until_shown(pilot, "coroutines (16)")
        assert "decay_after" in screen
        await pilot.press("g")
        await until_shown(pilot, "parent sites (2)")
        await until_shown(pilot, "executor.py:244 decay_after")
        await pilot.press("g")
        await until_shown(pilot, "parked of decay_after")
        assert "groups parent" in source.asked
        assert "groups parked" in source.asked


async def test_a_group_of_tasks_parked_at_one_place_opens_on_those_alone() -> None:
    source = FakeSource(start=250, quiet_sites=22)
    async with running(source) as (_, pilot):
        await until_shown(pilot, "creation sites (27)")
        await pilot.press("g", "g", "g", "g")
        await until_shown(pilot, "parked of decay_after")
        await pilot.press("enter")
        await until_shown(pilot, "in parked of decay_after (Esc: all)")
        assert "tasks parked at a" in source.asked
        await pilot.press("escape")
        await until_shown(pilot, "─tasks: 1 to")


class Slow(FakeSource):
    """Walks for longer than the overview waits between two walks."""

    def __init__(self) -> None:
        super().__init__(start=250)
        self.walked = asyncio.Event()

    async def groups(self, query: requests.Groups) -> tuple[Group, ...]:
        self.asked.append(f"groups {query.by}")
        await self.walked.wait()
        return await super().groups(query)


async def test_a_long_walk_is_waited_for_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "GROUPS_EVERY", 0.02)
    source = Slow()
    async with running(source) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("g", "g", "g")
        await until_shown(pilot, "Walking the tasks")
        await pilot.pause(0.1)
        assert source.asked.count("groups parent") == 1
        source.walked.set()
        await until_shown(pilot, "parent sites (2)")


async def test_long_lived_is_marked_by_shape_and_the_threshold_moves() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "LEAK")

        def marked() -> set[str]:
            lines = screen_text(app).split("\n")
            return {line.split(" · ")[1].split()[0] for line in lines if ".py:" in line and " · " in line}

        assert marked() == {"stream.py:88", "thr"}  # at executor.py there is a finding
        await pilot.press("right_square_bracket")
        await until_shown(pilot, "older than 5m00s")
        assert marked() == set()
        for _ in range(9):
            await pilot.press("left_square_bracket")
        await until_shown(pilot, "older than 5.0s")
        assert "server.py:52" not in marked()  # lives 0.1 s


async def test_charts_change_series_and_span() -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        screen = await until_shown(pilot, "╭ tasks 25,061, 5 min")
        assert "-2m30s" in screen
        await pilot.press("m")
        await until_shown(pilot, "╭ rss 141 MB, 5 min")
        await pilot.press("z")
        screen = await until_shown(pilot, "╭ rss 141 MB, 10 min")
        assert "-5m" in screen
        await pilot.press("z", "z", "z")
        screen = await until_shown(pilot, "╭ rss 141 MB, all")
        assert "-4m" in screen


async def test_the_chart_is_full_at_once_from_the_agents_history() -> None:
    async with running(FakeSource(start=600)) as (app, pilot):
        await until_shown(pilot, "40k")
        table = app.screen.query_one(SiteTable)
        chart = screen_text(app).split("\n")[: table.region.y]
        drawn = [any("⠀" < char <= "⣿" for char in (line[x] for line in chart)) for x in range(8, 70)]
        assert sum(drawn) > 55


async def test_enter_opens_the_site_under_the_cursor() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SiteScreen))
        screen = app.screen
        assert isinstance(screen, SiteScreen)
        assert screen.row.sites == (LEAK,)
        await pilot.press("escape")
        await until_shown(pilot, "creation sites (5)")


async def test_help_explains_the_columns() -> None:
    async with running(FakeSource(start=250), size=(120, 50)) as (_, pilot):
        await until_shown(pilot, "+6,000")
        await pilot.press("question_mark")
        screen = await until_shown(pilot, "change of live per minute")
        assert "ended per second" in screen
        await pilot.press("escape")
        await until_shown(pilot, "q Quit")


async def test_another_theme_recolours_everything() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "+6,000")
        for theme in app.available_themes:
            app.theme = theme
            await pilot.pause()
            assert "+6,000" in screen_text(app)
