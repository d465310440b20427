"""A table of threads: what each does, and its CPU use since the last refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from taskscope import text as fmt
from taskscope.model import Thread
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.stack_panel import SHOWN_OF_CREATION, Section
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import Executor, ThreadDetail
    from taskscope.tui.context import Context

COLUMNS = (
    Column("state", "state", 9, sortable=False),
    Column("cpu", "cpu s", 8, align="right"),
    Column("now", "cpu now", 7, align="right", priority=2),
    Column("name", "name", 12, flex=1),
    Column("text", "does", 30, flex=4, sortable=False),
    Column("pool", "executor", 24, flex=1, priority=3, sortable=False),
    Column("site", "started at", 20, flex=2, priority=4, sortable=False),
    Column("age", "age", 7, align="right", priority=5, sortable=False),
    Column("ident", "tid", 8, align="right", priority=6, sortable=False),
)

EXPLAINS = """\
state       ● running, ○ idle (a worker without a job), ◐ waiting,
            as far as that is known; ■ stuck: nothing can continue it,
            these come first
cpu s       seconds of CPU time since it started; cpu now: share of
            a core since the last refresh
does        what it waits on or runs; loop 1: runs event loop 1
executor    the pool it works for: workers and their limit, and
            queued jobs
started at  the line that started it; d: a daemon, which does not
            keep the process alive
tid         the kernel's thread id, as top and gdb show it"""

_ORDERS = ("", "cpu", "now", "name")
_SIGNS = {"running": "●", "idle": "○", "waiting": "◐", "stuck": "■"}


class ThreadTable(LineTable[Thread]):
    """Shows threads (``show_threads``) in the order that the user chose."""

    def __init__(self, context: Context, *, id: str | None = None) -> None:
        super().__init__(
            COLUMNS, self._cells, lambda thread: thread.ident, empty="Reading the threads …", id=id
        )
        self.context = context
        self._cpu: dict[int, float | None] = {}
        self._busy: dict[int, float] = {}
        self._measured_at: float | None = None
        self._threads: Sequence[Thread] = ()
        self.stuck: frozenset[int] = frozenset()
        """Idents of threads that nothing can continue."""

    def show_threads(self, threads: Iterable[Thread]) -> Sequence[Thread]:
        """Shows the threads; returns them in display order."""
        self._threads = list(threads)
        self._measure()
        return self._arrange()

    def sort_by(self, key: str) -> Sequence[Thread]:
        """Sorts by a column ("": in order of start); returns the threads in that order."""
        self.show_sort(key, descending=key != "name")
        return self._arrange()

    def sort_by_next(self) -> Sequence[Thread]:
        return self.sort_by(_ORDERS[(_ORDERS.index(self._sort) + 1) % len(_ORDERS)])

    def _measure(self) -> None:
        """CPU shares since the last refresh, from CPU times."""
        now, before = self.context.store.now, self._measured_at
        if before is not None and now <= before:
            return
        spent = {thread.ident: thread.cpu for thread in self._threads}
        self._busy = {
            ident: max(0.0, cpu - old) / (now - before)
            for ident, cpu in spent.items()
            if before is not None and cpu is not None and (old := self._cpu.get(ident)) is not None
        }
        self._cpu, self._measured_at = spent, now

    def _arrange(self) -> Sequence[Thread]:
        threads = list(self._threads)
        if not self._sort:  # in order of start, the main thread first
            threads.sort(key=lambda thread: thread.native_id)
        elif self._sort == "name":
            threads.sort(key=lambda thread: thread.name)
        else:
            by = self._busy if self._sort == "now" else self._cpu
            threads.sort(key=lambda thread: -(by.get(thread.ident) or 0.0))
        threads.sort(key=lambda thread: thread.ident not in self.stuck)
        self.show(threads)
        return threads

    def _cells(self, thread: Thread) -> Sequence[Cell]:
        store, colours = self.context.store, palette(self.app.theme_variables)
        site = store.site(thread.site) if thread.site is not None else None
        stuck, running = thread.ident in self.stuck, thread.state == "running"
        style = colours.alarm if stuck else colours.accent if running else colours.text
        return (
            Text(f"{_SIGNS['stuck']} stuck" if stuck else state_of(thread), style),
            seconds_of(thread),
            fmt.percent(self._busy.get(thread.ident)),
            thread.name + ("" if thread.python else " (native)"),
            thread.doing,
            pool_text(thread.executor) if thread.executor else "",
            (site.label if site else fmt.UNKNOWN) + (" d" if thread.daemon else ""),
            fmt.age(store.age(thread.birth)),
            str(thread.native_id or fmt.UNKNOWN),
        )


def state_of(thread: Thread) -> str:
    return f"{_SIGNS.get(thread.state, '?')} {thread.state}"


def seconds_of(thread: Thread) -> str:
    return fmt.UNKNOWN if thread.cpu is None else f"{thread.cpu:,.1f}"


def pool_text(executor: Executor) -> str:
    bound = f"/{executor.max_workers}" if executor.max_workers else ""
    return f"{executor.workers}{bound} workers, {fmt.count(executor.queued)} queued"


def sections_of(detail: ThreadDetail, context: Context) -> Sequence[Section]:
    """Its stack and what started it, or why that is unknown."""
    thread = detail.thread
    nowhere = "no Python stack at this moment" if thread.python else "a native thread: runs no Python code"
    hello = context.store.hello
    unknown = (
        "the main thread: started with the process"
        if hello and thread.native_id == hello.process.pid
        else "unknown: older than the agent, or not started by Python"
    )
    on = [each.text for each in thread.descriptors]
    return [
        *([Section(f"waits in {thread.system_call}", on or [thread.doing])] if thread.system_call else []),
        Section("stack, innermost first", detail.stack or [nowhere]),
        Section("started at, innermost first", detail.creation or [unknown], SHOWN_OF_CREATION),
    ]
