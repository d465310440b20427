"""Task trees: folded siblings in pages, ghosts of ended parents, cycles shown and not followed forever."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope.sources.base import NotAvailable
from taskscope.tui.line_tree import LineTree
from tests.tui.fake_source import BOOT, LEAK, STREAMS, FakeSource
from tests.tui.running import SIZES, running
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from taskscope.model import requests
    from taskscope.tui.app import TaskScopeApp


class Trees(FakeSource):
    """By await: 5 waits for 6, which waits for 5.  By parent: a main task with 30,000 children."""

    def __init__(self) -> None:
        super().__init__(start=400)
        self.empty = False
        self.hostile = "decay_after"

    async def tree(self, query: requests.Tree) -> tuple[model.TreeGroup, ...]:
        self.asked.append(f"tree {query.by} {query.of}")
        if self.empty:
            return ()
        if query.by == "await":
            other = {None: 5, 5: 6, 6: 5}[query.of]
            return (model.TreeGroup(LEAK, "waits", 1, (other,), 1, BOOT, cycle=query.of is None),)
        if query.of is None:
            ghost = model.TreeGroup(STREAMS, "connect", 0, (40, 41), 5000, None, ended=True)
            return (model.TreeGroup(STREAMS, "main", 1, (1,), 30_000, BOOT), ghost)
        return (model.TreeGroup(LEAK, self.hostile, self.live_of(LEAK), (101, 102), 0, BOOT),)

    async def tasks(self, query: requests.Tasks) -> model.TaskPage:
        assert query.sites == (LEAK,)
        self.asked.append(f"page {query.parent} {query.limit}")
        count = query.limit
        page = tuple(
            dataclasses.replace(self.make_task(serial), name=self.hostile) for serial in range(count)
        )
        return model.TaskPage(page, 30_000, count)


async def opened(app: TaskScopeApp, pilot: Pilot[None]) -> str:
    await until_shown(pilot, "● live")
    await pilot.press("t")
    await until_shown(pilot, "tasks by parent")
    await until(pilot, lambda: "main 1" in screen_text(app) or "No live task" in screen_text(app))
    return screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_siblings_are_folded_and_ended_parents_are_ghosts(size: tuple[int, int]) -> None:
    async with running(Trees(), size) as (app, pilot):
        screen = await opened(app, pilot)
        assert "▸ main 1  stream.py:88 open_streams" in screen
        assert "▸ † connect" in screen
        assert "ended" in screen
        await pilot.press("l")
        screen = await until_shown(pilot, "▸ decay_after ×30,000")
        assert all(len(line) == size[0] for line in screen.split("\n"))


async def test_a_folded_group_opens_a_page_at_a_time() -> None:
    source = Trees()
    async with running(source) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("l")
        await until_shown(pilot, "×30,000")
        await pilot.press("l", "enter")
        await until_shown(pilot, "0 decay_after  asyncio.sleep")
        assert source.asked[-1] == "page 1 100"
        tree = app.screen.query_one(LineTree)
        more = next(index for index, node in enumerate(tree.rows) if node.more_of is not None)
        assert more == 2 + 100
        tree.move_to(more)
        await until_shown(pilot, "29,900 more: Enter shows the next page")
        await pilot.press("enter")
        await until(pilot, lambda: len(tree.rows) == 3 + 200 + 1)
        assert source.asked[-1] == "page 1 200"
        assert len([each for each in source.asked if each.startswith("page")]) == 2


async def test_ghosts_open_onto_what_lives_on() -> None:
    async with running(Trees()) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("j", "enter")
        screen = await until_shown(pilot, "▸ † connect 40")
        assert "5,000 live children in all" in screen
        await pilot.press("j", "enter")
        await until_shown(pilot, "decay_after ×30,000")


async def test_a_cycle_is_shown_and_not_followed_for_ever() -> None:
    async with running(Trees()) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("v")
        screen = await until_shown(pilot, "in a cycle")
        assert "↻ waits 5" in screen
        await pilot.press("l")
        await until_shown(pilot, "  ▸ waits 6")
        await pilot.press("j", "l")
        screen = await until_shown(pilot, "shown above")
        assert "↻ waits 5" in screen
        await pilot.press("j", "l", "l")
        await pilot.pause()
        assert (
            screen_text(app).count("waits") == 3 + 2
        )  # the subject: "which task waits for which"; the current row in full


async def test_what_is_open_stays_open_over_a_refresh() -> None:
    source = Trees()
    async with running(source) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("l")
        await until_shown(pilot, "×30,000")
        await pilot.press("j", "l")
        await until_shown(pilot, "0 decay_after  asyncio.sleep")
        asked = len(source.asked)
        await pilot.press("r")
        await until(pilot, lambda: len(source.asked) >= asked + 3)
        await pilot.pause()
        assert "0 decay_after  asyncio.sleep" in screen_text(app)
        assert app.screen.query_one(LineTree).cursor == 1


async def test_an_empty_tree_says_why_and_what_next() -> None:
    source = Trees()
    source.empty = True
    async with running(source) as (app, pilot):
        screen = await opened(app, pilot)
        assert "No live task.  3 lists recently ended tasks." in screen
        await pilot.press("v")
        await until_shown(pilot, "No task waits for another task.")
        await pilot.press("v")
        await until_shown(pilot, "MainThread")


async def test_a_task_in_the_tree_opens() -> None:
    async with running(Trees()) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("enter")
        await until_shown(pilot, "task 1 decay_after")
        await pilot.press("escape")
        await until_shown(pilot, "tasks by parent")


async def test_hostile_names_are_shown_as_they_are() -> None:
    source = Trees()
    source.hostile = hostile = "[/] [@click=app.quit]x[/] " + "日本語" * 40
    async with running(source) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("l")
        await until_shown(pilot, hostile[:9])
        await pilot.press("j", "enter")
        await until_shown(pilot, f"0 {hostile[:9]}")
        await pilot.press("y", "question_mark")
        await pilot.pause()
        assert app.is_running


class NoTrees(FakeSource):
    async def tree(self, query: requests.Tree) -> tuple[model.TreeGroup, ...]:
        raise NotAvailable("aiomonitor does not know who created whom")


async def test_a_source_without_trees_says_so() -> None:
    async with running(NoTrees()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press("t")
        await until_shown(pilot, "aiomonitor does not know who created whom.")
