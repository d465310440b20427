"""Stalls: when an event loop did not run, for how long, and the code that held it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from taskscope import text as fmt
from taskscope.analysis.patterns.stalls import is_collection, is_pause
from taskscope.model import Stall, requests, user_line
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.stack_panel import Link, Section, StackPanel
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.model import Frame
    from taskscope.tui.line_list import LineList

COLUMNS = (
    Column("ago", "ago", 8, align="right", sortable=False),
    Column("duration", "held for", 9, align="right", sortable=False),
    Column("state", "", 7, sortable=False),
    Column("frame", "held by", 24, flex=2, sortable=False),
    Column("inner", "in", 20, flex=2, priority=1, sortable=False),
    Column("task", "task", 9, align="right", priority=2, sortable=False),
    Column("loop", "loop", 6, align="right", priority=3, sortable=False),
)

EXPLAINS = """\
A stall: some code held the event loop for longer than the agent's
threshold.  Every other task of that loop had to wait.

ago       since it began; now: not over yet
held for  how long the loop did not run; ≥: at least.  crowd: many
          callbacks in a row; asleep: the loop slept with work to do,
          and held by names the waiting task; paused: the whole
          process stood still; no CPU: it was ready to run; gc: the
          garbage collector ran
held by   the innermost line of user code at that time; in: what
          that line had called
task      the task that was running; Enter on its line below opens
          it

Below: the stack that held the loop, innermost first.  e opens the
editor at the line, y copies the stack.  The usual fix: await the
call, or run it in a thread with asyncio.to_thread."""


class StallsScreen(DetailScreen):
    """The latest stalls of all loops, newest first."""

    TITLE = "Stalls"
    EXPLAINS = EXPLAINS
    READS = "read the stalls"
    DEFAULT_CSS = "StallsScreen { LineTable { height: 1fr; } StackPanel { height: 55%; } }"

    def body(self) -> ComposeResult:
        yield self.subject
        yield LineTable[Stall](COLUMNS, self._cells, _key, empty="Reading the stalls …")
        yield StackPanel(self.reader, empty="The stack that held the loop shows here.")

    def on_mount(self) -> None:
        self.query_one(StackPanel).border_title = Content("what held the loop")
        self._table.focus()

    @property
    def _table(self) -> LineTable[Stall]:
        return self.query_one(LineTable)

    async def load(self) -> None:
        stalls = sorted(await self.context.source.ask(requests.Stalls()), key=lambda stall: -stall.began)
        longest = max((stall.duration for stall in stalls), default=0.0)
        lasting = sum(not stall.over for stall in stalls)
        self.subject.show(
            fmt.plural(len(stalls), "stall"),
            f"longest {fmt.latency(longest)}" if stalls else "no loop stalled",
            *([f"{lasting} not over yet"] if lasting else []),
        )
        self._table.show_empty("No stall since the agent started.")
        self._table.show(stalls)
        self._show_stack()

    def _cells(self, stall: Stall) -> Sequence[Cell]:
        own = user_line(stall.stack)
        inner = stall.stack[0] if stall.stack else None
        return (
            fmt.age(self.context.store.age(stall.began)) if stall.over else "now",
            f"{'≥' if stall.at_least else ''}{fmt.latency(stall.duration)}",
            _state(stall),
            fmt.frame(own or inner),
            fmt.frame(inner) if inner != own else "",
            str(stall.task) if stall.task else fmt.UNKNOWN,
            str(stall.loop),
        )

    def _show_stack(self) -> None:
        stall = self._table.cursor_row
        panel = self.query_one(StackPanel)
        if stall is None:
            panel.show_sections([])
            return
        sections = [Section("stack, innermost first", stall.stack or ["no stack was captured"])]
        if stall.doing:
            sections.insert(0, Section("it", [stall.doing]))
        if stall.task:
            sections.append(Section("in task", [Link(f"task {stall.task}", stall.task)]))
        panel.show_sections(sections)

    @property
    def frame(self) -> Frame | None:
        return self.query_one(StackPanel).frame

    def as_text(self) -> str:
        return self.query_one(StackPanel).as_text()

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        if event.control is self._table:
            self.query_one(StackPanel).forget()
            self._show_stack()

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        self.query_one(StackPanel).focus()

    def on_stack_panel_link_selected(self, event: StackPanel.LinkSelected) -> None:
        event.stop()
        from taskscope.tui.views.task import TaskScreen

        self.app.push_screen(TaskScreen(self.context, event.target))

    def leave(self) -> None:
        """Esc: moves from the stack to the list, then goes back."""
        if self.query_one(StackPanel).has_focus:
            self._table.focus()
        else:
            super().leave()


def _key(stall: Stall) -> tuple[int, float]:
    return (stall.loop, stall.began)


def _state(stall: Stall) -> str:
    if stall.why != "held":
        return "crowd" if stall.why == "crowd" else "asleep"
    if is_pause(stall):
        return "paused" if stall.paused >= stall.starved else "no CPU"
    if is_collection(stall):
        return "gc"
    return "" if stall.over else "lasting"
