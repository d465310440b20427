"""Source and stack panels: the guilty line is marked, library frames fold, text is never interpreted."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from textual.app import App

from taskscope.model import Frame, requests
from taskscope.sources.base import NotAvailable
from taskscope.sources.live import LiveSource
from taskscope.sources.reach import Socket
from taskscope.tui.context import Context
from taskscope.tui.editor import EditorError, edit
from taskscope.tui.source_panel import SourcePanel
from taskscope.tui.source_text import SourceReader
from taskscope.tui.stack_panel import Link, Section, StackPanel
from taskscope.tui.store import Store
from tests.tui.fake_source import FakeSource
from tests.tui.screen_text import screen_text, until_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.pilot import Pilot

    from taskscope import model


class NoSource(FakeSource):
    async def source(self, query: requests.Source) -> model.SourceLines:
        raise NotAvailable("a saved snapshot holds no source")


class PanelApp(App[None]):
    CSS = "StackPanel, SourcePanel { height: 1fr; }"

    def __init__(self, source: FakeSource) -> None:
        super().__init__()
        context = Context(source, Store(), lambda: 0.0)
        self.reader = SourceReader(context)
        self.context_ = context
        self.links: list[object] = []

    def compose(self) -> ComposeResult:
        yield SourcePanel(self.reader)
        yield StackPanel(self.reader)

    def on_stack_panel_link_selected(self, event: StackPanel.LinkSelected) -> None:
        self.links.append(event.target)

    @property
    def stack(self) -> StackPanel:
        return self.query_one(StackPanel)


@asynccontextmanager
async def panels(
    source: FakeSource | None = None, size: tuple[int, int] = (80, 40)
) -> AsyncIterator[tuple[PanelApp, Pilot[None]]]:
    app = PanelApp(source or FakeSource())
    async with app.run_test(size=size) as pilot:
        app.stack.focus()
        yield app, pilot


def module(path: Path, lines: int = 60) -> Frame:
    file = path / "book.py"
    file.write_text("".join(f"price_{number} = '[/]'\t# \x1b[31m\n" for number in range(1, lines + 1)))
    return Frame(str(file), 30, "reprice")


async def test_a_local_file_is_shown_with_the_line_marked_and_harmless(tmp_path: Path) -> None:
    async with panels() as (app, pilot):
        app.query_one(SourcePanel).show(module(tmp_path))
        screen = await until_shown(pilot, "▶   30 price_30 = '[/]'")
        assert "\\x1b[31m" in screen
        assert "\x1b" not in screen
        assert screen.count("▶") == 1


async def test_a_file_that_is_not_here_is_asked_of_the_target() -> None:
    async with panels() as (app, pilot):
        app.query_one(SourcePanel).show(Frame("/srv/nowhere/book.py", 77, "reprice"))
        await until_shown(pilot, "▶   77     line_77()")


async def test_no_source_anywhere_is_said() -> None:
    async with panels(NoSource()) as (app, pilot):
        app.query_one(SourcePanel).show(Frame("<string>", 1, "<module>"))
        await until_shown(pilot, "no source: a saved snapshot holds no source")


async def test_a_file_changed_since_the_start_is_noted(tmp_path: Path) -> None:
    async with panels() as (app, pilot):
        app.context_.store.begin(await FakeSource().open())
        frame = module(tmp_path)
        os.utime(frame.file, (2e9, 2e9))
        app.query_one(SourcePanel).show(frame)
        await until_shown(pilot, "changed since the target started")


OWN = Frame("/srv/a.py", 10, "own")
OTHER = Frame("/srv/b.py", 20, "other")
LIBRARY = [Frame(f"/usr/lib/x{number}.py", number, f"lib{number}", "library") for number in range(1, 4)]


async def test_the_first_user_frame_is_open_and_library_frames_are_folded() -> None:
    async with panels() as (app, pilot):
        app.stack.show_sections([Section("await chain", [*LIBRARY, OWN, OTHER])])
        screen = await until_shown(pilot, "▶   10")
        assert "▸ 3 library frames: x1.py:1 lib1 … x3.py:3 lib3" in screen
        assert "▾ a.py:10 own" in screen
        assert "▸ b.py:20 other" in screen
        await pilot.press("j", "enter")
        screen = await until_shown(pilot, "x2.py:2 lib2")
        assert "(library)" in screen


async def test_the_first_library_frames_of_a_creation_are_seen() -> None:
    async with panels() as (app, pilot):
        standard = [Frame(f"/usr/lib/std{number}.py", 1, "create_task", "stdlib") for number in range(2)]
        more = [Frame(f"/usr/lib/y{number}.py", number, f"more{number}", "library") for number in range(1, 4)]
        app.stack.show_sections([Section("created by", [*standard, *LIBRARY, *more, OWN], unfolded=3)])
        screen = await until_shown(pilot, "▶   10")
        assert "▸ 2 library frames: std0.py:1 create_task" in screen
        assert all(f"▸ x{number}.py:{number} lib{number}" in screen for number in range(1, 4))
        assert "▸ 3 library frames: y1.py:1 more1" in screen


async def test_open_folds_stay_open_when_the_stack_is_shown_again() -> None:
    async with panels() as (app, pilot):
        sections = [Section("await chain", [OWN, OTHER])]
        app.stack.show_sections(sections)
        await until_shown(pilot, "▶   10")
        app.stack.move_to_key((0, OTHER, 1))
        await pilot.press("enter")
        await until_shown(pilot, "▶   20")
        assert app.stack.frame == OTHER
        app.stack.show_sections([Section("await chain", [OWN, OTHER]), Section("new", ["nothing"])])
        await pilot.pause()
        assert "▶   20" in screen_text(app)
        assert app.stack.frame == OTHER
        await pilot.press("j", "h")
        await pilot.pause()
        assert "▶   20" not in screen_text(app)


async def test_links_lead_where_they_say_and_ended_ones_nowhere() -> None:
    async with panels() as (app, pilot):
        gone = Link("task 3 [/] (ended)", None, ended=True)
        app.stack.show_sections([Section("created by", [Link("task 7", 7), gone])])
        await until_shown(pilot, "† task 3 [/] (ended)")
        await pilot.press("j", "enter", "j", "enter")
        await pilot.pause()
        assert app.links == [7]


async def test_the_copied_text_is_whole_and_plain() -> None:
    async with panels() as (app, _):
        app.stack.show_sections(
            [Section("await chain", [*LIBRARY, OWN]), Section("waits on", [Link("task 7", 7)])]
        )
        text = app.stack.as_text()
        assert text.startswith('await chain:\n  File "/usr/lib/x1.py", line 1, in lib1\n')
        assert 'File "/srv/a.py", line 10, in own' in text
        assert text.endswith("waits on:\n  task 7\n")


async def test_a_file_here_is_not_shown_as_one_of_a_container(tmp_path: Path) -> None:
    frame = module(tmp_path)
    clock = lambda: 0.0  # noqa: E731
    here = Context(LiveSource("/run/taskscope-0/9.shop.sock"), Store(clock), clock)
    assert (await SourceReader(here).read(frame)).lines
    there = Context(LiveSource("/proc/12/root/run/taskscope-0/9.shop.sock"), Store(clock), clock)
    assert not (await SourceReader(there).read(frame)).lines


async def test_the_editor_is_not_opened_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "true")
    async with panels() as (app, _):
        with pytest.raises(EditorError, match=r"/srv/a\.py is not on this machine"):
            edit(app, OWN)
        with pytest.raises(EditorError, match=r"book\.py is in the container of process 12, and the editor"):
            elsewhere = Socket("/proc/12/root/run/taskscope-0/9.shop.sock").elsewhere
            edit(app, module(tmp_path), elsewhere)
        with pytest.raises(EditorError, match="cannot hand this terminal over"):
            edit(app, module(tmp_path))
