"""The process picker on made-up rows; `tests/integration` shows it real processes."""

from __future__ import annotations

import dataclasses
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from taskscope.attach.discover import PythonProcess
from taskscope.sources.base import SourceError
from taskscope.sources.glance import Glance
from taskscope.sources.listing import apart
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.picker import PickerScreen, Targets
from tests.tui.fake_source import FakeSource
from tests.tui.running import click_line, type_at_once
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from textual.pilot import Pilot

    from taskscope.sources.base import Source


def process(pid: int, command: str, *, agent: str | None = None, obstacle: str = "") -> PythonProcess:
    return PythonProcess(
        pid=pid,
        user="svc",
        command=command,
        started=0.0,
        rss=118_000_000,
        cpu=0.31,
        threads=14,
        python="3.11",
        agent=agent,
        asyncio=True,
        obstacle=obstacle,
        own=True,
    )


ROWS = (
    process(4121, "orders --live", agent="orders"),
    process(4200, "plain.py [/] [bold"),
    process(4300, "other.py", obstacle="another user's: run taskscope as that user or as root"),
)


@asynccontextmanager
async def picking(
    rows: Sequence[PythonProcess] | list[PythonProcess] = ROWS,
) -> AsyncIterator[tuple[TaskScopeApp, Pilot[None], FakeSource]]:
    source = FakeSource(start=250)

    def open_one(chosen: PythonProcess) -> Source:
        if chosen.agent is None:
            raise SourceError(f"no agent in process {chosen.pid}: start it with `taskscope run`")
        return source

    def open_group(chosen: PythonProcess) -> Source:
        raise SourceError(f"{chosen.pid} was to be opened as a group")

    async def glance(_: PythonProcess) -> Glance | None:
        return Glance(source.sample(), (), ())

    app = TaskScopeApp(targets=Targets(lambda: rows, open_one, open_group, lambda _: None, glance))
    async with app.run_test(size=(100, 24)) as pilot:
        yield app, pilot, source


async def test_processes_are_listed_and_enter_opens_the_one_with_an_agent() -> None:
    async with picking() as (app, pilot, source):
        screen = await until_shown(pilot, "orders --live")
        assert "plain.py [/] [bold" in screen
        assert "118 MB" in screen
        assert "Enter opens orders (pid 4121), which runs an agent." in screen
        await pilot.press("enter")
        await until_shown(pilot, "+6,000")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PickerScreen))
        assert source.closed


async def test_processes_of_one_name_are_told_apart_by_their_folders() -> None:
    def of(pid: int, folder: str, directory: str = "/") -> PythonProcess:
        return dataclasses.replace(process(pid, f"leakd.py {pid}"), folder=folder, directory=directory)

    rows = [of(1, "/srv/a/app"), of(2, "/srv/b/app"), of(3, "/srv/b"), process(4, "other.py")]
    async with picking(rows) as (_, pilot, _):
        screen = await until_shown(pilot, "leakd.py 3  in b")
        assert "leakd.py 1  in a/app" in screen
        assert "leakd.py 2  in b/app" in screen
        assert "other.py  in" not in screen
        await pilot.press("slash", *"srv/a")
        screen = await until_shown(pilot, "leakd.py 1")
        await until(pilot, lambda: "leakd.py 2" not in screen_text(pilot.app))


def test_one_script_in_several_directories_is_told_apart_by_these() -> None:
    rows = [
        dataclasses.replace(process(pid, "gunicorn"), folder="/venv/bin", directory=directory)
        for pid, directory in ((1, "/srv/shop"), (2, "/srv/mail"), (3, "/"), (4, ""))
    ]
    assert apart(rows) == {1: "  in shop", 2: "  in mail", 3: "  in /"}
    assert apart(rows[:1]) == apart([rows[0], dataclasses.replace(rows[0], pid=5)]) == {}


async def test_a_process_without_an_agent_says_what_to_do() -> None:
    async with picking() as (app, pilot, _):
        await until_shown(pilot, "orders --live")
        await pilot.press("j")
        await until_shown(pilot, "No agent in 4200.")
        assert "taskscope run" in screen_text(app)
        await pilot.press("enter")
        await until_shown(pilot, "No agent in process 4200: start it with `taskscope run`.  (Esc to dismiss)")
        await pilot.press("escape", "j")
        await until_shown(
            pilot, "none can be injected: another user's: run taskscope as that user or as root."
        )
        assert "Esc to dismiss" not in screen_text(app)


async def test_the_cursor_belongs_to_a_process_from_the_first_paint() -> None:
    rows = list(ROWS)
    async with picking(rows) as (app, pilot, _):
        await until_shown(pilot, "Enter opens orders (pid 4121)")
        rows.insert(0, process(77, "newcomer.py"))
        await look_again(app)
        screen = await until_shown(pilot, "newcomer.py")
        assert "Enter opens orders (pid 4121)" in screen
        assert next(line for line in screen.splitlines() if line.startswith("▌")).split()[1] == "4121"


async def test_where_the_process_has_ended_enter_opens_no_other() -> None:
    rows = list(ROWS)
    async with picking(rows) as (app, pilot, _):
        await until_shown(pilot, "Enter opens orders (pid 4121)")
        del rows[0]
        await look_again(app)
        await until_shown(pilot, "No agent in 4200")
        await pilot.press("enter")
        await until_shown(pilot, "Process 4121 has ended; the cursor is now on 4200.")
        assert "Opening" not in screen_text(app)
        await pilot.press("escape", "enter")
        await until_shown(pilot, "No agent in process 4200")


async def test_a_number_used_again_is_another_process() -> None:
    rows = list(ROWS)
    async with picking(rows) as (app, pilot, _):
        await until_shown(pilot, "Enter opens orders (pid 4121)")
        rows[0] = dataclasses.replace(rows[0], started=5.0, command="another")
        await look_again(app)
        await until_shown(pilot, "another")
        await pilot.press("enter")
        await until_shown(pilot, "Process 4121 has ended")


async def test_the_list_can_be_filtered_and_sorted_and_counts_tasks() -> None:
    async with picking() as (app, pilot, _):
        await until_shown(pilot, "25,061")
        await pilot.press("slash", *"PLAIN", "enter")
        await until(pilot, lambda: "orders --live" not in screen_text(app))
        assert "plain.py" in screen_text(app)
        await pilot.press("escape", "s")
        await until_shown(pilot, "Sorted by pid.")
        assert "orders --live" in screen_text(app)


async def test_the_cursor_stays_on_its_process_whatever_the_order() -> None:
    async with picking() as (app, pilot, _):
        await until_shown(pilot, "Enter opens orders (pid 4121)")
        await pilot.press("s")
        await until_shown(pilot, "pid▴")
        await pilot.press("S")
        await until_shown(pilot, "pid▾")
        pids = re.findall(r"^.[ ]*(4\d\d\d) ", screen_text(app), re.MULTILINE)
        assert pids == ["4300", "4200", "4121"]
        assert "Enter opens orders (pid 4121)" in screen_text(app)
        await click_line(pilot, screen_text(app), "pid▾", 7)
        await until_shown(pilot, "pid▴")


async def look_again(app: TaskScopeApp) -> None:
    assert isinstance(app.screen, PickerScreen)
    await app.screen._look()


async def test_no_process_says_so() -> None:
    async with picking(()) as (_, pilot, _source):
        await until_shown(pilot, "No other Python process is visible")


async def test_keys_of_a_target_do_nothing_in_the_picker() -> None:
    async with picking() as (app, pilot, _):
        await until_shown(pilot, "orders --live")
        await pilot.press("space", "b", "w", "t", "2", "i")
        await pilot.pause()
        assert isinstance(app.screen, PickerScreen)
        await pilot.press("question_mark")
        await until_shown(pilot, "likeliest targets first")


WORKERS = (
    process(10, "gunicorn shop:app", agent="shop"),
    process(77, "elsewhere.py"),
    dataclasses.replace(process(12, "gunicorn shop:app", agent="shop"), parent=10, role="forked"),
    dataclasses.replace(process(11, "gunicorn shop:app", agent="shop"), parent=10, role="forked"),
)


async def test_workers_stand_below_the_process_that_started_them() -> None:
    async with picking(WORKERS) as (_, pilot, _source):
        screen = await until_shown(pilot, "elsewhere.py")
        shown = [line.lstrip("▌ ").split(" ")[0] for line in screen.splitlines()]
        assert [pid for pid in shown if pid.isdigit()] == ["10", "12", "11", "77"]
        assert "├─ gunicorn shop:app" in screen
        assert "└─ gunicorn shop:app" in screen


async def test_what_is_typed_ahead_after_a_slash_is_the_filter_and_enter_attaches_to_nothing() -> None:
    async with picking() as (app, pilot, _):
        await until_shown(pilot, "orders --live")
        type_at_once(app, "slash", *"plain", "enter")
        await until(pilot, lambda: "orders --live" not in screen_text(app))
        assert "plain.py" in screen_text(app)
        assert isinstance(app.screen, PickerScreen)


async def test_a_slash_in_a_filter_is_a_character() -> None:
    async with picking() as (app, pilot, _):
        await until_shown(pilot, "orders --live")
        await pilot.press("slash", *"[/]")
        await until(pilot, lambda: "orders --live" not in screen_text(app))
        assert "plain.py [/]" in screen_text(app)
