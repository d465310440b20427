"""Event loops: kind, thread, load and latency."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from textual.content import Content

from taskscope import text as fmt
from taskscope.model import Loop, requests
from taskscope.sources.base import NotAvailable
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.stack_panel import Section, StackPanel
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.model import LoopTurns
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

COLUMNS = (
    Column("id", "loop", 5, align="right", sortable=False),
    Column("state", "state", 9, sortable=False),
    Column("live", "tasks", 9, align="right", sortable=False),
    Column("p50", "p50", 8, align="right", priority=2, sortable=False),
    Column("p99", "p99", 8, align="right", sortable=False),
    Column("max", "max", 8, align="right", priority=1, sortable=False),
    Column("turns", "iter/s", 8, align="right", priority=1, sortable=False),
    Column("zero", "no wait", 7, align="right", priority=2, sortable=False),
    Column("ready", "ready", 7, align="right", priority=2, sortable=False),
    Column("timers", "timers", 8, align="right", priority=3, sortable=False),
    Column("thread", "thread", 10, flex=1, priority=1, sortable=False),
    Column("kind", "kind", 14, flex=2, sortable=False),
    Column("factory", "task factory", 14, flex=1, priority=4, sortable=False),
    Column("debug", "debug", 5, priority=5, sortable=False),
)

EXPLAINS = """\
Every event loop of the process.

state         ● running, ○ stopped
tasks         live tasks of this loop
p50 p99 max   delay before a callback runs, measured five times a
              second over the last minute: median, 99th percentile,
              maximum
iter/s        iterations per second: counted if a callback keeps the
              loop awake; else at least (≥) as often as its thread slept
no wait       share of the looks at which it polled without waiting,
              since callbacks were queued; 100 %: it never sleeps
ready         callbacks waiting to run; timers: calls scheduled for
              later
thread        the thread that runs it; Enter shows the threads
task factory  the function that creates its tasks
debug         whether asyncio's debug mode is on, which slows
              everything down

Below: the callbacks that were running or queued on most of 250 looks
in half a second.  4 lists the stalls, 7 shows who uses the CPU."""


class LoopsScreen(DetailScreen):
    """All event loops."""

    TITLE = "Event loops"
    EXPLAINS = EXPLAINS
    READS = "read the event loops"
    DEFAULT_CSS = "LoopsScreen { LineTable { height: 1fr; } StackPanel { height: 50%; } }"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._names: dict[int, str] = {}
        self._turns: dict[int, LoopTurns] = {}

    def body(self) -> ComposeResult:
        yield self.subject
        yield LineTable[Loop](COLUMNS, self._cells, lambda loop: loop.id, empty="Reading the event loops …")
        yield StackPanel(self.reader, empty="What the loop runs shows here.")

    def on_mount(self) -> None:
        self.query_one(StackPanel).border_title = Content("what the loop runs")
        self._table.focus()

    @property
    def _table(self) -> LineTable[Loop]:
        return self.query_one(LineTable)

    async def load(self) -> None:
        loops = await self.context.source.ask(requests.Loops())
        if any(loop.thread is not None and loop.thread not in self._names for loop in loops):
            self._names = {
                thread.ident: thread.name for thread in await self.context.source.ask(requests.Threads())
            }
        running = sum(loop.running for loop in loops)
        self.subject.show(fmt.plural(len(loops), "event loop"), f"{running} running", "4: stalls")
        self._table.show_empty("No event loop has run since the agent started.")
        self._table.show(loops)
        with contextlib.suppress(NotAvailable):
            turns = await self.context.source.ask(requests.Turns())
            self._turns = {each.loop: each for each in turns}
            self._table.refresh_rows()
        self._show_callbacks()

    def _show_callbacks(self) -> None:
        loop = self._table.cursor_row
        turns = self._turns.get(loop.id) if loop is not None else None
        if turns is None:
            self.query_one(StackPanel).show_sections([])
            return
        asleep = f"asleep on {turns.asleep:,} of {turns.looks:,} looks in {turns.seconds:.1f} s"
        found = [f"{each.looks:>5,}  {each.function}  {fmt.frame(each.frame)}" for each in turns.callbacks]
        again = [
            f"{each.function} queues itself at {fmt.frame(each.frame)}"
            if each.on is None
            else f"{each.function} is called for {each.on.text}; watched at {fmt.frame(each.frame)}"
            for each in turns.rearmed
        ]
        sections = [Section(f"callbacks by looks; {asleep}", found or ["none was found running or queued"])]
        if again:
            sections.append(Section("queued anew in every iteration", again))
        self.query_one(StackPanel).show_sections(sections)

    def _cells(self, loop: Loop) -> Sequence[Cell]:
        thread, turns = loop.thread, self._turns.get(loop.id)
        return (
            str(loop.id),
            "● running" if loop.running else "○ stopped",
            fmt.count(loop.live),
            fmt.latency(loop.latency_p50),
            fmt.latency(loop.latency_p99),
            fmt.latency(loop.latency_max),
            _iterations(turns),
            fmt.UNKNOWN if turns is None else fmt.percent(turns.without_wait / max(1, turns.looks)),
            fmt.count(loop.ready),
            fmt.count(loop.timers),
            fmt.UNKNOWN if thread is None else self._names.get(thread, str(thread)),
            _short(loop.kind),
            loop.factory,
            "on" if loop.debug else "",
        )

    def as_text(self) -> str:
        lines = ["\t".join(column.label for column in COLUMNS)]
        lines += ["\t".join(str(cell) for cell in self._cells(loop)) for loop in self._table.rows]
        return "\n".join(lines)

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        if event.control is self._table:
            self._show_callbacks()

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        from taskscope.tui.views.threads import ThreadsScreen

        self.app.push_screen(ThreadsScreen(self.context))


def _iterations(turns: LoopTurns | None) -> str:
    """Per second: counted if a callback keeps it awake, else how often its thread slept, at least."""
    if turns is None:
        return fmt.UNKNOWN
    if turns.iterations is not None:
        return fmt.count(turns.iterations)
    return f"≥{fmt.count(turns.sleeps)}" if turns.sleeps is not None else fmt.UNKNOWN


def _short(kind: str) -> str:
    """The class and its package: ``asyncio._UnixSelectorEventLoop``."""
    package, _, rest = kind.partition(".")
    return f"{package}.{rest.rpartition('.')[2]}" if rest else kind
