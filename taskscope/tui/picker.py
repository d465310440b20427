"""The process picker: the list of Python processes to attach to."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from taskscope import text as fmt
from taskscope.attach.family import below, tree
from taskscope.sources.base import SourceError
from taskscope.sources.choice import HELPERS
from taskscope.sources.listing import ASCENDING, VALUES, apart, matches
from taskscope.tui.filter_field import SLASH, FilterField
from taskscope.tui.keys import KeyBar
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.status import StatusLine
from taskscope.tui.theme import palette
from taskscope.tui.whole_line import WholeLine
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from taskscope.attach.discover import PythonProcess
    from taskscope.sources.base import Source
    from taskscope.sources.glance import Glance
    from taskscope.tui.connection import Reconnect
    from taskscope.tui.context import Voice
    from taskscope.tui.line_list import LineList
    from taskscope.tui.theme import Palette

    Key = tuple[int, float]
    """Pid and start time: pids are reused."""

LOOK_EVERY = 3.0
"""Seconds between two scans of the processes; a scan costs about 10 ms per hundred."""

ASK_EVERY = 15.0
"""Seconds between two looks at the same agent."""

COLUMNS = (
    Column("pid", "pid", 7, align="right"),
    Column("agent", "agent", 10, flex=1, sortable=False),
    Column("asyncio", "asyncio", 7, priority=2),
    Column("tasks", "tasks", 7, align="right", priority=1),
    Column("findings", "findings", 8, priority=2),
    Column("user", "user", 8, priority=5),
    Column("python", "python", 6, priority=6, sortable=False),
    Column("up", "up", 6, align="right", priority=4),
    Column("rss", "rss", 7, align="right", priority=2),
    Column("cpu", "cpu", 6, align="right", priority=3),
    Column("threads", "threads", 7, align="right", priority=7),
    Column("command", "command", 20, flex=6),
)

EXPLAINS = """\
The Python processes, likeliest targets first, children below their parents.

agent      the name of its agent; –: none; aiomonitor: it runs that instead
asyncio    whether it has loaded asyncio; –: unknown
tasks      live tasks, as its agent counts them
findings   what the agent's memory shows at once; the process opened and watched may show more
cpu        cores used since the last scan

Enter opens the process under the cursor, and with it as one group those below it; o opens it alone.
The line below the list says how.  If the process has no
agent, Enter injects one.  The cursor stays on its process: if that ends, the next Enter says so and
opens nothing.

/ filters by command, folder, pid, user or agent.  s sorts by the next column, S reverses the order; a
click on a column's header does the same."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Lists the processes and opens one, or one with all below it, off the app's loop since they may block.

    ``glance`` looks at what the agent of a process knows; None if that fails.  ``where`` they are.
    """

    processes: Callable[[], Sequence[PythonProcess]]
    open: Callable[[PythonProcess], Source]
    open_group: Callable[[PythonProcess], Source]
    reconnect: Callable[[Source], Reconnect | None]
    glance: Callable[[PythonProcess], Awaitable[Glance | None]]
    where: str = "on this machine"


class PickerScreen(Screen[None]):
    """Rescans every few seconds; the cursor stays on its process."""

    DEFAULT_CSS = """
    PickerScreen {
        LineTable { height: 1fr; }
        .title { height: 1; background: $surface; padding: 0 1; }
        .advice { height: auto; min-height: 2; max-height: 4; padding: 0 1; background: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        SLASH,
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse the order", show=False),
        Binding("o", "open_alone", "Open it alone", show=False),
        Binding("escape", "back", "Clear", show=False),
    ]

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
        self._found: Sequence[PythonProcess] = ()
        self._gone: tuple[int, Key] | None = (
            None  # the process that ended under the cursor, and its successor
        )
        self._sort, self._reversed = "", False
        self._filter = ""
        self._branches: dict[Key, str] = {}
        self._apart: dict[int, str] = {}
        self._seen: dict[Key, Glance | None] = {}
        self._asked: dict[Key, float] = {}

    def compose(self) -> ComposeResult:
        yield Static(
            Text(f"taskscope  Python processes {self._targets.where}", no_wrap=True), classes="title"
        )
        yield LineTable(COLUMNS, self._cells, key_of, empty="Looking for Python processes …")
        yield FilterField("command, pid, user or agent")
        yield Static(classes="advice")
        yield WholeLine()
        yield StatusLine(self.voice)
        yield KeyBar()

    @property
    def _table(self) -> LineTable[PythonProcess]:
        return self.query_one(LineTable)

    def on_mount(self) -> None:
        self._table.focus()
        self.set_interval(LOOK_EVERY, self._look_again)
        self._look_again()

    def on_screen_resume(self) -> None:
        self._look_again()

    def _look_again(self) -> None:
        if self.is_current:
            self.run_worker(self._look(), group="look", exclusive=True)

    async def _look(self) -> None:
        self._found = await asyncio.to_thread(self._targets.processes)
        self._show()
        await self._glance()

    def _show(self) -> None:
        """Shows matching processes, sorted.  From then on, the cursor belongs to its process."""
        table, words = self._table, self._filter.lower().split()
        shown = [each for each in self._found if matches(each, words)]
        if self._sort:
            value = VALUES[self._sort]
            shown.sort(key=lambda each: value(each, self._seen.get(key_of(each))), reverse=self._reversed)
        placed = tree(shown, lambda each: each.pid, lambda each: each.parent)
        self._branches = {key_of(each): branch for branch, each in placed}
        shown = [each for _, each in placed]
        self._apart = apart(shown)
        was = table.cursor_row
        table.show_empty(
            f"Nothing matches “{self._filter}”.  Esc clears the filter."
            if words
            else "No other Python process is visible to this user."
        )
        table.show(shown)
        if was is None:
            table.move_to(0)
        elif shown and key_of(was) not in {key_of(each) for each in self._found}:
            self._gone = was.pid, key_of(shown[table.cursor])
        self._advise(table.cursor_row)

    async def _glance(self) -> None:
        now = time.monotonic()
        due = [
            each
            for each in self._found
            if each.agent and now - self._asked.get(key_of(each), -ASK_EVERY) >= ASK_EVERY
        ]
        for process in due:
            self._asked[key_of(process)] = now
            self._seen[key_of(process)] = await self._targets.glance(process)
            self._table.refresh_rows()

    def _cells(self, process: PythonProcess) -> Sequence[Cell]:
        colours = palette(self.app.theme_variables)
        key, seen = key_of(process), self._seen.get(key_of(process))
        command = Text(self._branches.get(key, ""), colours.dim)
        command.append(process.command, colours.dim if process.obstacle else colours.text)
        command.append(self._apart.get(process.pid, ""), colours.dim)
        if process.role:
            command.append(f"  {process.role}", colours.dim)
        return (
            str(process.pid),
            Text(process.agent, colours.accent) if process.agent else _without_agent(process),
            fmt.UNKNOWN if process.asyncio is None else "yes" if process.asyncio else "no",
            fmt.count(seen.sample.tasks.live if seen is not None else None),
            _findings(seen, colours),
            process.user,
            process.python or fmt.UNKNOWN,
            fmt.age(time.time() - process.started),
            fmt.bytes(process.rss),
            fmt.percent(process.cpu),
            fmt.count(process.threads),
            command,
        )

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        if self._gone is not None and event.key != self._gone[1]:
            self._gone = None  # moved by the user meanwhile
        self._advise(event.row)

    def _advise(self, process: PythonProcess | None) -> None:
        below = self._below(process) if process is not None else 0
        self.query_one(".advice", Static).update(Text(advice(process, below)))
        self.query_one(WholeLine).look()

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        if self._gone is not None:
            (pid, _), self._gone = self._gone, None
            self.voice.error(
                f"Process {pid} has ended; the cursor is now on {event.row.pid}.  Enter again opens that."
            )
            return
        self.voice.read()
        self.voice.status(f"Opening {event.row.pid} …")
        how = self._targets.open_group if self._below(event.row) else self._targets.open
        self.run_worker(self._open(event.row, how), group="open", exclusive=True)

    def action_open_alone(self) -> None:
        """Opens a process without those below it."""
        row = self._table.cursor_row
        if row is not None and self._gone is None:
            self.voice.status(f"Opening {row.pid} …")
            self.run_worker(self._open(row, self._targets.open), group="open", exclusive=True)

    def _below(self, process: PythonProcess) -> int:
        """How many processes below it run something of the program."""
        family = below(process.pid, {each.pid: each.parent for each in self._found})
        return sum(each.pid in family and each.role not in HELPERS for each in self._found) - 1

    async def _open(self, process: PythonProcess, how: Callable[[PythonProcess], Source]) -> None:
        try:
            source = await asyncio.to_thread(how, process)
        except SourceError as problem:
            self.voice.error(str(problem))
            return
        self.post_message(self.TargetChosen(source, self._targets.reconnect(source)))

    # -- order and filter

    def action_sort(self) -> None:
        """Sorts by the next visible column; after the last one, likeliest first again."""
        keys = ["", *(key for key in self._table.shown_columns if key in VALUES)]
        self._sort_by(keys[(keys.index(self._sort) + 1) % len(keys)] if self._sort in keys else "")

    def action_reverse(self) -> None:
        if self._sort:
            self._sort_by(self._sort, reverse=not self._reversed)

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self._sort_by(event.key, reverse=event.key == self._sort and not self._reversed)

    def _sort_by(self, key: str, *, reverse: bool = False) -> None:
        self._sort, self._reversed = key, reverse
        self._table.show_sort(key, descending=(key in ASCENDING) == reverse)
        self.voice.status(f"Sorted by {key}." if key else "Likeliest targets first.")
        self._show()

    def action_filter(self) -> None:
        self.query_one(FilterField).open()

    def on_input_changed(self, event: FilterField.Changed) -> None:
        self._filter = event.value.strip()
        self._show()

    def on_input_submitted(self) -> None:
        self.query_one(FilterField).close(clear=False)
        self._table.focus()

    def action_back(self) -> None:
        """Esc: dismisses an unread error, else clears the filter."""
        if not self.voice.read():
            self.query_one(FilterField).close(clear=True)
            self._table.focus()

    def action_explain(self) -> None:
        from taskscope.tui.help import HelpScreen

        self.app.push_screen(HelpScreen("Python processes", EXPLAINS))


def key_of(process: PythonProcess) -> Key:
    """The identity of a process, distinct from a later one with the same pid."""
    return process.pid, process.started


def advice(process: PythonProcess | None, below: int = 0) -> str:
    """What Enter does with this process, or what to do instead; ``below`` is how many processes are."""
    if process is None:
        return ""
    if below:
        rest = f"the {fmt.plural(below, 'process')} below it"
        return f"Enter opens {process.pid} and {rest} as one group.  o opens {process.pid} alone."
    if process.agent:
        return f"Enter opens {process.agent} (pid {process.pid}), which runs an agent."
    if process.monitor:
        return _about_monitor(process)
    if process.obstacle:
        return f"No agent in {process.pid}, and none can be injected: {process.obstacle}."
    return (
        f"No agent in {process.pid}.  Enter injects one; or start the program with "
        "`taskscope run`, or call taskscope.start() in it."
    )


def _about_monitor(process: PythonProcess) -> str:
    if process.obstacle:
        return (
            f"No agent in {process.pid}, and none can be injected: {process.obstacle}.  It seems to run "
            f"aiomonitor: Enter opens {process.monitor}."
        )
    return (
        f"No agent in {process.pid}.  Enter injects one.  It seems to run aiomonitor, which shows less but "
        f"needs no agent: taskscope attach {process.monitor}"
    )


def _findings(seen: Glance | None, colours: Palette) -> Text:
    levels = seen.levels if seen is not None else None
    alarm = any(level != "suspect" for level in levels or ())
    style = colours.alarm if alarm else colours.warning if levels else colours.dim
    return Text(fmt.levels(levels), style)


def _without_agent(process: PythonProcess) -> str:
    return "aiomonitor" if process.monitor else fmt.UNKNOWN
