"""The list of Python processes one chooses a target from."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from taskscope.sources.base import SourceError
from taskscope.tui import format as fmt
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.status import StatusLine
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from taskscope.attach.discover import PythonProcess
    from taskscope.sources.base import Source
    from taskscope.tui.connection import Reconnect
    from taskscope.tui.context import Voice
    from taskscope.tui.line_list import LineList

LOOK_EVERY = 3.0
"""Seconds between two looks at the processes; one look costs some 10 ms for each hundred."""

COLUMNS = (
    Column("pid", "pid", 7, align="right"),
    Column("agent", "agent", 10, flex=1),
    Column("user", "user", 8, priority=3),
    Column("python", "python", 6, priority=4),
    Column("up", "up", 6, align="right", priority=2),
    Column("rss", "rss", 7, align="right", priority=1),
    Column("cpu", "cpu", 6, align="right", priority=1),
    Column("threads", "threads", 7, align="right", priority=5),
    Column("command", "command", 20, flex=6),
)

EXPLAINS = """\
The Python processes of this machine, most likely wanted first.

agent      the name under which its agent listens; – : it has none, aiomonitor : it runs that instead
cpu        cores used since the last look

Enter opens the process under the cursor.  The line below the list says what would happen: a process
with an agent is opened at once; one without needs an agent first."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the picker's rows come from, and what opens one of them (off the app's loop: both may block)."""

    processes: Callable[[], Sequence[PythonProcess]]
    open: Callable[[PythonProcess], Source]
    reconnect: Callable[[Source], Reconnect | None]


class PickerScreen(Screen[None]):
    """Looks again every few seconds; the cursor stays on its process."""

    DEFAULT_CSS = """
    PickerScreen {
        LineTable { height: 1fr; }
        .title { height: 1; background: $surface; padding: 0 1; }
        .advice { height: 2; padding: 0 1; background: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "read", "Read", show=False)]

    class TargetChosen(Message):
        """A source was found for the process chosen."""

        def __init__(self, source: Source, reconnect: Reconnect | None) -> None:
            super().__init__()
            self.source = source
            self.reconnect = reconnect

    def __init__(self, targets: Targets, voice: Voice) -> None:
        super().__init__()
        self.voice = voice
        self._targets = targets

    def compose(self) -> ComposeResult:
        yield Static(Text("taskscope  Python processes on this machine"), classes="title")
        yield LineTable(
            COLUMNS, self._cells, lambda process: process.pid, empty="Looking for Python processes …"
        )
        yield Static(classes="advice")
        yield StatusLine(self.voice)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(LineTable).focus()
        self.set_interval(LOOK_EVERY, self._look_again)
        self._look_again()

    def on_screen_resume(self) -> None:
        self._look_again()

    def _look_again(self) -> None:
        if self.is_current:
            self.run_worker(self._look(), group="look", exclusive=True)

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._targets.processes)
        table = self.query_one(LineTable)
        table.show_empty("No other Python process is running here that this user may see.")
        table.show(found)
        self._advise(table.cursor_row)

    def _cells(self, process: PythonProcess) -> Sequence[Cell]:
        colours = palette(self.app.theme_variables)
        return (
            str(process.pid),
            Text(process.agent, colours.accent) if process.agent else _without_agent(process),
            process.user,
            process.python or fmt.UNKNOWN,
            fmt.age(time.time() - process.started),
            fmt.bytes(process.rss),
            fmt.percent(process.cpu),
            fmt.count(process.threads),
            Text(process.command, colours.dim if process.obstacle else colours.text),
        )

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        self._advise(event.row)

    def _advise(self, process: PythonProcess | None) -> None:
        self.query_one(".advice", Static).update(Text(advice(process)))

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        self.voice.read()
        self.voice.status(f"Opening {event.row.pid} …")
        self.run_worker(self._open(event.row), group="open", exclusive=True)

    async def _open(self, process: PythonProcess) -> None:
        try:
            source = await asyncio.to_thread(self._targets.open, process)
        except SourceError as problem:
            self.voice.error(str(problem))
            return
        self.post_message(self.TargetChosen(source, self._targets.reconnect(source)))

    def action_read(self) -> None:
        self.voice.read()

    def action_explain(self) -> None:
        from taskscope.tui.help import HelpScreen

        self.app.push_screen(HelpScreen("Python processes", EXPLAINS))


def advice(process: PythonProcess | None) -> str:
    """What Enter would do with this process, or what to do instead."""
    if process is None:
        return ""
    if process.agent:
        return f"Enter opens {process.agent} (pid {process.pid}), which has an agent."
    if process.monitor:
        return _about_monitor(process)
    if process.obstacle:
        return f"No agent in {process.pid}, and it cannot get one: {process.obstacle}."
    return (
        f"No agent in {process.pid}.  Enter tries to bring one in; or start the program with "
        "`taskscope run`, or call taskscope.start() in it."
    )


def _about_monitor(process: PythonProcess) -> str:
    if process.obstacle:
        return (
            f"No agent in {process.pid}, and it cannot get one: {process.obstacle}.  It runs aiomonitor: "
            f"Enter opens {process.monitor}."
        )
    return (
        f"No agent in {process.pid}.  Enter tries to bring one in.  It runs aiomonitor, which tells less "
        f"and needs nothing in it: taskscope attach {process.monitor}"
    )


def _without_agent(process: PythonProcess) -> str:
    return "aiomonitor" if process.monitor else fmt.UNKNOWN
