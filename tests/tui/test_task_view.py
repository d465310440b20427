"""The view of a task: its chain, its family, its end, and the one action on it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope.sources.base import NotAvailable
from taskscope.tui.views.task import TaskScreen
from tests.tui.fake_source import DECAY, EXECUTOR, LEAK, MAIN, SLEEPING, FakeSource
from tests.tui.running import SIZES, click_line, running
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from taskscope.model import requests
    from taskscope.tui.app import TaskScopeApp


class Family(FakeSource):
    """Task 5 waits on 6, which waits on 5; the parent has ended; the agent allows cancelling."""

    def __init__(self) -> None:
        super().__init__(start=250)
        self.control = True
        self.ended_tasks: set[int] = set()
        self.cancelled: list[int] = []
        self.left = 50.0

    async def task(self, query: requests.Task) -> model.TaskDetail:
        self.asked.append(f"task {query.serial}")
        if query.serial in self.ended_tasks:
            raise NotAvailable(f"task {query.serial} has ended")
        if query.serial not in (5, 6):
            return await super().task(query)
        own = dataclasses.replace(self.make_task(query.serial), cancelling=1)
        other = self.make_task(11 - query.serial)
        parked = model.Parked(DECAY, DECAY, "task", f"task {other.serial}", other.serial, self.left)
        own = dataclasses.replace(own, parked=parked)
        chain = (
            model.Ancestor(12, 3, "Task-12", "respond", False),
            model.Ancestor(1, 2, "main", "main", True),
        )
        return model.TaskDetail(
            own,
            (SLEEPING, SLEEPING, DECAY),
            (other,),
            (other,),
            chain,
            (EXECUTOR, MAIN),
            False,
            99,
            held_by=(self.make_task(77),),
            holders=("Client.replies[7]",),
        )

    async def cancel(self, query: requests.Cancel) -> None:
        self.cancelled.append(query.serial)


async def opened(app: TaskScopeApp, serial: int) -> None:
    await app.push_screen(TaskScreen(app.context, serial))


@pytest.mark.parametrize("size", SIZES)
async def test_a_task_shows_its_chain_and_its_family(size: tuple[int, int]) -> None:
    async with running(Family(), (size[0], 60)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        screen = await until_shown(pilot, "await chain, innermost first")
        await until_shown(pilot, "▶  244")
        assert "2 library frames: tasks.py:639 sleep" in screen
        assert "✕ 1 cancel request ignored so far" in screen
        assert "→ task 6 Task-6" in screen
        assert "held by" in screen
        assert "→ task 77 Task-77" in screen
        assert "Client.replies[7]" in screen
        assert "† task 12 Task-12  respond  from server.py:52 handle  (ended)" in screen
        assert "→ task 1 main" in screen
        assert "→ 99 live siblings" in screen
        assert "created at, of another task of the same site, innermost first" in screen
        assert "▸ executor.py:231 record_failure" in screen


async def test_a_wide_terminal_shows_the_source_beside() -> None:
    async with running(Family(), (200, 60)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "─source  /srv/orders/executor.py:244")
        await pilot.press("G")
        await until_shown(pilot, "─source  /srv/orders/__main__.py:12")


async def test_what_it_waits_on_can_be_followed_around_a_cycle_and_back() -> None:
    async with running(Family(), (80, 60)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        for serial in (6, 5):
            await until_shown(pilot, "▶  244")  # the lines stand where they stay
            screen = await until_shown(pilot, f"→ task {serial} Task-{serial}")
            await click_line(pilot, screen, f"→ task {serial}", 10)
            await pilot.press("enter")
            await until_shown(pilot, f"task {serial} decay_after")
        await pilot.press("escape", "escape")
        await until_shown(pilot, "task 5 decay_after")


async def test_siblings_are_listed_in_pages() -> None:
    source = Family()
    async with running(source, (80, 60)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "▶  244")
        screen = await until_shown(pilot, "→ 99 live")
        await click_line(pilot, screen, "→ 99 live", 10)
        await pilot.press("enter")
        screen = await until_shown(pilot, "siblings: 1 to")
        assert "created by task 1" in screen


async def test_a_task_that_ends_keeps_its_last_state_and_says_so() -> None:
    source = Family()
    async with running(source, (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "▸ executor.py:231")
        source.ended_tasks.add(5)
        await pilot.press("r")
        screen = await until_shown(pilot, "■ ended; its last state")
        assert "executor.py:244 decay_after" in screen
        asked = len(source.asked)
        await pilot.press("r")
        await pilot.pause()
        assert len(source.asked) == asked


async def test_a_task_that_had_ended_before_says_where_to_look() -> None:
    source = Family()
    source.ended_tasks.add(7)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "● live")
        await app.push_screen(TaskScreen(app.context, source.make_task(7)))
        screen = await until_shown(pilot, "■ ended before details loaded")
        assert "task 7 has ended" in screen
        assert "3 lists recently ended tasks" in screen
        assert "executor.py:244 decay_after" in screen


class Slow(Family):
    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def task(self, query: requests.Task) -> model.TaskDetail:
        await self.may_answer.wait()
        return await super().task(query)


async def test_until_the_target_answers_what_the_list_knew_is_shown() -> None:
    source = Slow()
    async with running(source, (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await app.push_screen(TaskScreen(app.context, source.make_task(5)))
        screen = await until_shown(pilot, "reading what awaits and what created it")
        assert "▸ tasks.py:639 sleep" in screen
        await until_shown(pilot, "loading …")
        source.may_answer.set()
        screen = await until_shown(pilot, "await chain")
        assert "reading" not in screen
        assert "loading" not in screen


async def test_the_chain_is_refreshed_in_place() -> None:
    source = Family()
    async with running(source, (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "50s left")
        await pilot.press("j", "j")
        source.left = 49.0
        await pilot.press("r")
        screen = await until_shown(pilot, "49s left")
        assert "▌▾ executor.py:244" in screen


async def test_cancelling_asks_first() -> None:
    source = Family()
    async with running(source, (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "x Cancel")
        await pilot.press("x")
        await until_shown(pilot, "Cancel task 5?")
        await pilot.press("n")
        await pilot.press("x")
        await until_shown(pilot, "Cancel task 5?")
        assert source.cancelled == []
        await pilot.press("y")
        await until_shown(pilot, "Requested cancellation of task 5.")
        assert source.cancelled == [5]


async def test_without_control_there_is_no_cancelling() -> None:
    source = Family()
    source.control = False
    async with running(source, (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "await chain")
        await pilot.press("x")
        await pilot.pause()
        assert "Cancel" not in screen_text(app)
        assert source.cancelled == []


async def test_copy_takes_the_whole_stack_and_says_so() -> None:
    async with running(Family(), (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, 5)
        await until_shown(pilot, "await chain")
        await pilot.press("y")
        await until_shown(pilot, "Copied")
        assert 'File "/srv/orders/executor.py", line 231, in record_failure' in app.clipboard
        assert app.clipboard.startswith("task 5 decay_after")


async def test_an_editor_that_cannot_open_says_why() -> None:
    async with running(Family(), (80, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        await opened(app, LEAK)
        await until_shown(pilot, "await chain")
        await pilot.press("e")
        await until(pilot, lambda: "is not on this machine" in app.context.unread)
        await until_shown(pilot, "Not edited: /srv/orders/")
