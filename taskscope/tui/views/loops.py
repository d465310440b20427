"""Event loops: kind, thread, load and latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.model import Loop, requests
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.sources.base import SourceError
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

COLUMNS = (
    Column("id", "loop", 5, align="right", sortable=False),
    Column("state", "state", 9, sortable=False),
    Column("live", "tasks", 9, align="right", sortable=False),
    Column("p50", "p50", 8, align="right", priority=2, sortable=False),
    Column("p99", "p99", 8, align="right", sortable=False),
    Column("max", "max", 8, align="right", priority=1, sortable=False),
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
ready         callbacks waiting to run; timers: calls scheduled for
              later
thread        the thread that runs it; Enter shows the threads
task factory  the function that creates its tasks
debug         whether asyncio's debug mode is on, which slows
              everything down

4 lists the stalls."""


class LoopsScreen(DetailScreen):
    """All event loops."""

    TITLE = "Event loops"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = "LoopsScreen LineTable { height: 1fr; }"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._names: dict[int, str] = {}

    def body(self) -> ComposeResult:
        yield self.subject
        yield LineTable[Loop](COLUMNS, self._cells, lambda loop: loop.id, empty="Reading the event loops …")

    def on_mount(self) -> None:
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

    def failed(self, problem: SourceError) -> str:
        self._table.show_empty(f"Could not read the event loops: {problem}")
        return super().failed(problem)

    def _cells(self, loop: Loop) -> Sequence[Cell]:
        thread = loop.thread
        return (
            str(loop.id),
            "● running" if loop.running else "○ stopped",
            fmt.count(loop.live),
            fmt.latency(loop.latency_p50),
            fmt.latency(loop.latency_p99),
            fmt.latency(loop.latency_max),
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

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        from taskscope.tui.views.threads import ThreadsScreen

        self.app.push_screen(ThreadsScreen(self.context))


def _short(kind: str) -> str:
    """The class and its package: ``asyncio._UnixSelectorEventLoop``."""
    package, _, rest = kind.partition(".")
    return f"{package}.{rest.rpartition('.')[2]}" if rest else kind
