"""The whole app on a made-up source: connection states, pause, baseline, snapshot, hostile text."""

from __future__ import annotations

import dataclasses
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.base import ConnectionLost, SourceError
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.banner import Banner
from taskscope.tui.overview import OverviewScreen
from taskscope.tui.status import StatusLine
from tests.tui.fake_source import HANDLER, LEAK, FakeSource
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from taskscope.model import Hello
    from taskscope.sources.base import Source
    from taskscope.tui.connection import Reconnect


class Clock:
    """Moved by hand; status lines and staleness depend on it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    source: Source,
    *,
    size: tuple[int, int] = (160, 40),
    reconnect: Reconnect | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[tuple[TaskScopeApp, Pilot[None]]]:
    app = TaskScopeApp(source, reconnect=reconnect, clock=clock or Clock())
    async with app.run_test(size=size) as pilot:
        yield app, pilot


async def test_first_screen_answers_without_a_key_pressed() -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        screen = await until_shown(pilot, "+6,000")
        assert "orders" in screen
        assert "pid 4121" in screen
        assert "● live" in screen
        assert "tasks 25,061 ▲ 6,000/min" in screen
        assert "executor.py:231 record_failure" in screen
        assert "~book.py:9 watch" in screen
        assert "4m10s" in screen


async def test_a_newer_sample_changes_the_screen() -> None:
    source = FakeSource(start=250)
    async with running(source) as (_, pilot):
        await until_shown(pilot, "25,000")
        source.advance()
        await until_shown(pilot, "25,100")


async def test_80x24_shows_the_leak_with_its_growth_and_all_rows_in_place() -> None:
    async with running(FakeSource(start=250), size=(80, 24)) as (_, pilot):
        screen = await until_shown(pilot, "+6,000")
        lines = screen.split("\n")
        assert len(lines) == 24
        assert all(len(line) == 80 for line in lines)
        assert "live" in lines[9]
        for column in ("Δ/min", "oldest", "5 min", "site"):
            assert column in lines[9]
        assert "q Quit" in lines[23]


async def test_200x60_shows_every_column_and_three_charts() -> None:
    async with running(FakeSource(start=250), size=(200, 60)) as (_, pilot):
        screen = await until_shown(pilot, "+6,000")
        for column in ("median", "born/s", "end/s", "err", "coroutine"):
            assert column in screen
        for chart in ("╭ tasks 25,061, 5 min", "╭ rss 141 MB, 5 min", "╭ descriptors 212, 5 min"):
            assert chart in screen
        assert "-2m" in screen


async def test_a_tiny_terminal_shows_the_table_only() -> None:
    async with running(FakeSource(start=250), size=(50, 14)) as (_, pilot):
        screen = await until_shown(pilot, "+6,000")
        assert "taskscope" not in screen
        assert "q Quit" not in screen
        assert "executor.py:231" in screen


async def test_stale_is_said_with_the_age() -> None:
    clock = Clock()
    async with running(FakeSource(start=250), clock=clock) as (app, pilot):
        await until_shown(pilot, "● live")
        clock.now += 12
        await until_shown(pilot, "○ stale   12s ago")
        screen = await until_shown(pilot, "No sample for 12s")
        assert "25,000" in screen
        app.app_resume_signal.publish(app)  # as after the console, the editor or ctrl+z
        app.screen.query_one(Banner).look()
        await until(pilot, lambda: "No sample for" not in screen_text(app))


async def test_target_ends_and_comes_back() -> None:
    first, second = FakeSource(start=250), FakeSource(start=5, pid=5000)
    back: list[FakeSource] = []

    async def reconnect() -> Source | None:
        return back.pop() if back else None

    async with running(first, reconnect=reconnect) as (_, pilot):
        await until_shown(pilot, "25,000")
        first.end()
        screen = await until_shown(
            pilot, "The target has ended.  Showing the last data; waiting for a restart"
        )
        assert "■ ended" in screen
        assert "25,000" in screen
        assert first.closed
        back.append(second)
        screen = await until_shown(pilot, "pid 5000")
        await until_shown(pilot, "● live")
        assert "25,000" not in screen_text(pilot.app)
        assert "has ended" not in screen_text(pilot.app)


async def test_a_lost_connection_is_made_again_when_told_to() -> None:
    first, second = FakeSource(start=250), FakeSource(start=251)
    tries: list[Source | SourceError] = [SourceError("'ssh h' failed: Permission denied"), second]
    tried = 0

    async def reconnect() -> Source | None:
        nonlocal tried
        tried += 1
        result = tries.pop(0)
        if isinstance(result, SourceError):
            raise result
        return result

    async with running(first, reconnect=reconnect) as (_, pilot):
        await until_shown(pilot, "25,000")
        first.end(ConnectionLost("connection lost: 'ssh h' has ended (Broken pipe)"))
        screen = await until_shown(pilot, "✕ connection lost")
        assert (
            "Connection lost: 'ssh h' has ended (Broken pipe).  Showing the last data; C connects" in screen
        )
        assert "25,000" in screen
        await pilot.pause(1.5)
        assert tried == 0
        await pilot.press("C")
        await until_shown(pilot, "Permission denied.  Showing the last data; C connects again.")
        await pilot.press("C")
        await until_shown(pilot, "● live")
        assert tried == 2


async def test_without_a_way_back_the_data_stays() -> None:
    source = FakeSource(start=250)
    async with running(source) as (_, pilot):
        await until_shown(pilot, "25,000")
        source.end()
        screen = await until_shown(pilot, "■ ended")
        assert "waiting for a restart" not in screen
        assert "25,000" in screen


class Refusing(FakeSource):
    async def open(self) -> Hello:
        raise SourceError("the agent speaks protocol 2, this taskscope protocol 1: use the same version")


async def test_a_refused_connection_is_one_sentence_and_not_tried_again() -> None:
    async def never() -> Source | None:
        raise AssertionError("tried again")

    async with running(Refusing(), reconnect=never) as (app, pilot):
        screen = await until_shown(pilot, "✕ no connection")
        assert "The agent speaks protocol 2, this taskscope protocol 1: use the same version." in screen
        await until(
            pilot, lambda: all(worker.is_finished for worker in app.workers if worker.group == "connection")
        )


async def test_pause_holds_everything_and_goes_on() -> None:
    source = FakeSource(start=250)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "25,000")
        await pilot.press("space")
        await until_shown(pilot, "‖ paused")
        source.advance(3)
        await until(pilot, lambda: source._queue.empty())
        await pilot.pause()
        assert "25,000" in screen_text(app)
        await pilot.press("space")
        await until_shown(pilot, "25,300")
        assert source.asked.count("history") == 2  # on arrival, for charts and judge; after the pause


async def test_baseline_shows_changes_since_and_is_cleared() -> None:
    source = FakeSource(start=250)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "25,000")
        await pilot.press("b")
        await until_shown(pilot, "Baseline set at")
        source.advance(2)
        await until_shown(pilot, "Δ base")
        await until_shown(pilot, "  +200  ")
        await until_shown(pilot, "since baseline +200 tasks in 2.0s")
        await pilot.press("B")
        await until_shown(pilot, "Baseline cleared")
        await until(pilot, lambda: "Δ base" not in screen_text(app))


async def test_a_snapshot_is_written_whole_and_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(FakeSource(start=250, name="../ord ers")) as (_, pilot):
        await until_shown(pilot, "25,000")
        await pilot.press("w")
        await until_shown(pilot, "Snapshot written: taskscope-ord")
        (file,) = tmp_path.iterdir()
        assert file.name.startswith("taskscope-ord-ers-4121-")
        assert json.loads(file.read_text())["process"]["pid"] == 4121


async def test_an_error_stays_until_read_while_confirmations_fade() -> None:
    source, clock = FakeSource(start=250), Clock()
    source.broken = "no snapshot: the disk [/] is full"
    async with running(source, clock=clock) as (app, pilot):
        await until_shown(pilot, "25,000")
        await pilot.press("w")
        await until_shown(pilot, "No snapshot: the disk [/] is full.")
        clock.now += 100
        app.screen.query_one(StatusLine).look()
        await pilot.pause()
        assert "the disk [/] is full" in screen_text(app)
        assert "Taking a snapshot" not in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "the disk" not in screen_text(app)


async def test_the_answer_to_a_key_shows_beside_errors_that_are_not_read_and_all_can_be_read_again() -> None:
    long = "no such thing: " + "because of this and that, " * 6 + "so do what stands here at the end"
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "25,000")
        app.context.error("the first")
        app.context.error(long)
        await until_shown(pilot, "(Esc to dismiss, 1 more)")
        assert "at the end" in screen_text(app)
        await pilot.press("space")
        screen = await until_shown(pilot, "Display paused; the target keeps running.")
        assert "so do what stands here at the end" in " ".join(screen.split())
        await pilot.press("escape")
        await until_shown(pilot, "The first.  (Esc to dismiss)")
        await pilot.press("escape", "M")
        await until_shown(pilot, "messages")
        log = " ".join(screen_text(app).split())
        assert log.index("Display paused") < log.index("at the end") < log.index("The first")


async def test_ctrl_c_asks_and_the_second_one_quits() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "25,000")
        await pilot.press("ctrl+c")
        assert "[b]" not in await until_shown(pilot, "Press ctrl+c again")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not app.is_running)


async def test_function_keys_help_and_quit_as_in_htop() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "25,000")
        for closes in ("f1", "f10"):
            await pilot.press("f1")
            await until_shown(pilot, "Esc closes")
            await pilot.press(closes)
            await until_shown(pilot, "q Quit")
        await pilot.press("ctrl+p", *"help")
        assert (await until_shown(pilot, "key: ?")).count("key: ") == 1
        await pilot.press("escape", "f10")
        await until(pilot, lambda: not app.is_running)


async def test_the_line_of_keys_fits_the_view_and_the_state() -> None:
    def keys(app: TaskScopeApp) -> str:
        return screen_text(app).splitlines()[-1].strip()

    source = FakeSource(start=250)
    async with running(source, size=(100, 24)) as (app, pilot):
        await until_shown(pilot, "25,000")
        assert keys(app).startswith("Enter Open  / Filter  s Sort  f Findings")
        assert keys(app).endswith("? Help  q Quit")
        assert "Console" not in keys(app)
        await pilot.press("space")
        await until(pilot, lambda: "space Resume" in keys(app))
        await pilot.press("space", "slash")
        await until(pilot, lambda: keys(app) == "Enter Keep the filter  Esc Clear the filter")
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "Esc Back" in keys(app))
        await pilot.resize_terminal(40, 24)
        await pilot.press("escape")
        app.screen.remove_class("-tiny")
        await until(pilot, lambda: keys(app).endswith("? Help  q Quit"))


async def test_the_interval_is_asked_of_the_agent() -> None:
    source = FakeSource(start=250)
    async with running(source) as (_, pilot):
        await until_shown(pilot, "25,000")
        await pilot.press("i")
        await until_shown(pilot, "One sample every 2 s")
        assert "set_interval 2" in source.asked


@pytest.mark.parametrize("hostile", ["[/] [@click=app.quit]x[/] [bold red " + "日本語" * 40, "x" * 10_000])
async def test_hostile_strings_are_shown_as_they_are(hostile: str) -> None:
    source = FakeSource(start=250, name=hostile)
    odd = dataclasses.replace(source.sites[0], coroutine=hostile)
    frame = dataclasses.replace(odd.frame, function=hostile, file=f"/srv/{hostile}.py")
    source.sites[0] = dataclasses.replace(odd, frame=frame, user_frame=frame)
    async with running(source, size=(200, 60)) as (app, pilot):
        screen = await until_shown(pilot, "+6,000")
        assert hostile[:8] in screen
        app.notify(hostile)
        await pilot.press("g", "g", "question_mark", "escape", "slash", *"[/]", "enter", "escape")
        app.notify(hostile, severity="error")
        await pilot.pause()
        assert hostile[:8] in screen_text(app)


async def test_counts_of_a_site_are_drawn_from_the_last_sample_only() -> None:
    source = FakeSource(start=250)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "25,000")
        assert app.context.store.sites[LEAK].live == 25_000
        assert app.context.store.sites[HANDLER].errors() == 2


async def test_a_crash_is_one_sentence_with_a_report_and_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: OverviewScreen) -> None:
        raise ValueError("deliberate [/] mistake")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(OverviewScreen, "action_sort", broken)
    with pytest.raises(ValueError, match="deliberate"):
        async with running(FakeSource(start=250)) as (app, pilot):
            await until_shown(pilot, "25,000")
            await pilot.press("s")
    assert app.return_code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "the app crashed (ValueError: deliberate [/] mistake)" in said
    assert "Traceback" not in said
    (report,) = tmp_path.glob("taskscope-crash-*.txt")
    assert "in broken" in report.read_text()


async def test_every_command_of_the_palette_has_a_name_and_pause_works_from_there() -> None:
    async with running(FakeSource(start=250)) as (app, pilot):
        await until_shown(pilot, "25,000")
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {
            "Pause",
            "Baseline",
            "Save",
            "Threads",
            "Filter",
            "Change the interval",
            "Theme",
        } <= commands.keys()
        commands["Pause"].callback()
        await until_shown(pilot, "‖ paused")
