"""Threads: what each does, whose it is, and the stack of the one under the cursor as it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from taskscope.model import Thread
from taskscope.sources.base import NotAvailable
from taskscope.tui import format as fmt
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.line_tree import LineTree, Node
from taskscope.tui.stack_panel import Section, StackPanel
from taskscope.tui.theme import palette
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult

    from taskscope.model import Executor, Frame, ThreadDetail
    from taskscope.sources.base import SourceError
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

COLUMNS = (
    Column("state", "state", 9, sortable=False),
    Column("cpu", "cpu s", 9, align="right"),
    Column("now", "cpu now", 7, align="right", priority=2),
    Column("name", "name", 18, flex=2),
    Column("text", "does", 18, flex=2, priority=1, sortable=False),
    Column("pool", "executor", 24, flex=1, priority=3, sortable=False),
    Column("site", "started at", 20, flex=2, priority=4, sortable=False),
    Column("age", "age", 7, align="right", priority=5, sortable=False),
    Column("ident", "tid", 8, align="right", priority=6, sortable=False),
)

EXPLAINS = """\
Every thread of the process, also those that threading did not
start.  v shows who started whom.

state       ● running, ○ idle (a worker without a job), ◐ waiting,
            as far as it can be told
cpu s       seconds of CPU time since it started; cpu now: share of
            a core since the last look
does        what it waits on or runs; loop 1: it runs the event loop
            number 1
executor    the pool it works for: workers of their limit, and jobs
            queued for one
started at  the line that started it; d: a daemon, the process does
            not wait for it
tid         the kernel's number, as top and gdb show it

Below: the stack of the thread under the cursor, innermost first, as
it changes; Enter goes there and opens frames.  s sorts by CPU or
name, e opens the editor at the line, y copies the stack."""

_SIGNS = {"running": "●", "idle": "○", "waiting": "◐"}


class ThreadsScreen(DetailScreen):
    """All threads, as a table or (``as_tree``) under the thread that started them."""

    TITLE = "Threads"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = """
    ThreadsScreen {
        #threads { height: 1fr; }
        #threads LineTree { display: none; }
        LineTable, LineTree { height: 1fr; }
        StackPanel { height: 40%; }
        &.-tree #threads LineTree { display: block; }
        &.-tree #threads LineTable { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "next_tree", "Tree / table"),
        Binding("s", "sort", "Sort", show=False),
    ]

    def __init__(self, context: Context, *, as_tree: bool = False) -> None:
        super().__init__(context)
        self._as_tree = as_tree
        self._sort = ""
        self._threads: dict[int, Thread] = {}
        self._by_ident: dict[int, Node[Thread]] = {}
        self._busy: dict[int, float | None] = {}
        self._measured_at: float | None = None
        self._detail: ThreadDetail | None = None

    def body(self) -> ComposeResult:
        yield self.subject
        with Container(id="threads"):
            empty = "Reading the threads …"
            yield LineTable[Thread](COLUMNS, self._cells, lambda thread: thread.ident, empty=empty)
            tail = (("cpu s", 9), ("state", 10))
            yield LineTree[Thread]("thread", tail, self._tree_cells, empty=empty)
        yield StackPanel(self.reader, inline=False, empty="The stack of the thread under the cursor.")

    def on_mount(self) -> None:
        self.set_class(self._as_tree, "-tree")
        self._front.focus()

    @property
    def _front(self) -> LineList[Thread] | LineList[Node[Thread]]:
        return self.query_one(LineTree if self._as_tree else LineTable)

    # -- data

    async def load(self) -> None:
        threads = await self.context.source.threads()
        self._measure(threads)
        self._threads = {thread.ident: thread for thread in threads}
        self._say()
        self._arrange()
        await self._load_stack()

    def _measure(self, threads: Iterable[Thread]) -> None:
        """CPU shares since the last look, from CPU times."""
        now, before = self.context.store.now, self._measured_at
        if before is not None and now <= before:
            return
        self._measured_at = now
        self._busy = {}
        for thread in threads:
            old = self._threads.get(thread.ident)
            if before is not None and old is not None and old.cpu is not None and thread.cpu is not None:
                self._busy[thread.ident] = max(0.0, thread.cpu - old.cpu) / (now - before)

    def _say(self) -> None:
        pools = {
            thread.executor.name: thread.executor for thread in self._threads.values() if thread.executor
        }
        queued = sum(pool.queued for pool in pools.values())
        self.subject.show(
            fmt.plural(len(self._threads), "thread"),
            *(f"{name} {_pool(pool)}" for name, pool in pools.items() if pool.queued),
            f"{fmt.plural(len(pools), 'executor')}, {fmt.plural(queued, 'job')} queued"
            if pools
            else "no executor",
        )

    def _arrange(self) -> None:
        threads = list(self._threads.values())
        if not self._sort:  # in the order they were started, the main thread first
            threads.sort(key=lambda thread: thread.native_id)
        elif self._sort == "name":
            threads.sort(key=lambda thread: thread.name)
        else:
            by = self._busy if self._sort == "now" else {each.ident: each.cpu for each in threads}
            threads.sort(key=lambda thread: -(by.get(thread.ident) or 0.0))
        table = self.query_one(LineTable)
        table.show_empty("The source knows no threads.")
        table.show(threads)
        self.query_one(LineTree).show_roots(self._roots(threads))

    def _roots(self, threads: Sequence[Thread]) -> list[Node[Thread]]:
        """Threads under the thread that started them; under none if that has ended or is not known."""
        known = self._by_ident
        self._by_ident = {
            thread.ident: known.get(thread.ident) or Node(thread.ident, thread, expanded=True)
            for thread in threads
        }
        roots = []
        for thread in threads:
            node = self._by_ident[thread.ident]
            node.data, node.children = thread, []
        for thread in threads:
            parent = self._by_ident.get(thread.parent or 0)
            node = self._by_ident[thread.ident]
            if parent is None or parent.children is None or not _older(parent.data, thread):
                roots.append(node)
            else:
                parent.children.append(node)
        for node in self._by_ident.values():
            node.expandable = bool(node.children)
        return roots

    async def _load_stack(self) -> None:
        thread = self._current()
        panel = self.query_one(StackPanel)
        if thread is None:
            panel.show_sections([])
            return
        panel.border_title = Content(f"{thread.name}, {thread.state}")
        try:
            self._detail = await self.context.source.thread(thread.ident)
        except NotAvailable as problem:
            panel.show_empty(str(problem))
            panel.show_sections([])
            return
        started = self._detail.creation or [self._unknown_start(thread)]
        panel.show_sections(
            [
                Section("stack, innermost first", self._detail.stack or [_no_stack(thread)]),
                Section("started at, innermost first", started),
            ]
        )

    def _unknown_start(self, thread: Thread) -> str:
        hello = self.context.store.hello
        if hello and thread.native_id == hello.process.pid:
            return "the main thread: started with the process"
        return "not known: it is older than the agent, or not started by Python"

    def _current(self) -> Thread | None:
        row = self._front.cursor_row
        return row.data if isinstance(row, Node) else row

    def failed(self, problem: SourceError) -> str:
        for each in (self.query_one(LineTable), self.query_one(LineTree)):
            each.show_empty(f"The threads could not be read: {problem}")
        return super().failed(problem)

    # -- drawing

    def _cells(self, thread: Thread) -> Sequence[Cell]:
        store, colours = self.context.store, palette(self.app.theme_variables)
        site = store.site(thread.site) if thread.site is not None else None
        busy = self._busy.get(thread.ident)
        return (
            Text(_state(thread), colours.accent if thread.state == "running" else colours.text),
            _seconds(thread.cpu),
            fmt.percent(busy),
            thread.name + ("" if thread.python else " (native)"),
            thread.text,
            _pool(thread.executor) if thread.executor else "",
            (site.label if site else fmt.UNKNOWN) + (" d" if thread.daemon else ""),
            fmt.age(store.age(thread.birth)),
            str(thread.native_id or fmt.UNKNOWN),
        )

    def _tree_cells(self, thread: Thread) -> Sequence[Cell]:
        return (f"{thread.name}  {thread.text}", _seconds(thread.cpu), _state(thread))

    @property
    def frame(self) -> Frame | None:
        return self.query_one(StackPanel).frame

    def as_text(self) -> str:
        thread = self._detail.thread if self._detail else None
        return f"thread {thread.name}\n{self.query_one(StackPanel).as_text()}" if thread else ""

    # -- events

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        if event.list is self._front:
            self.query_one(StackPanel).forget()
            self.run_worker(self._show_stack(), group="stack", exclusive=True)

    async def _show_stack(self) -> None:
        await self.context.ask(self._load_stack())

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        self.query_one(StackPanel).focus()

    def leave(self) -> None:
        """Esc: from the stack to the list, then back."""
        if self.query_one(StackPanel).has_focus:
            self._front.focus()
        else:
            super().leave()

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self._sort_by(event.key)

    def action_sort(self) -> None:
        order = ("", "cpu", "now", "name")
        self._sort_by(order[(order.index(self._sort) + 1) % len(order)])

    def _sort_by(self, key: str) -> None:
        self._sort = key
        self.query_one(LineTable).show_sort(key, descending=key != "name")
        self._arrange()

    def action_next_tree(self) -> None:
        self._as_tree = not self._as_tree
        self.set_class(self._as_tree, "-tree")
        self._front.focus()


def _older(one: Thread, other: Thread) -> bool:
    """Whether ``one`` can have started ``other``: identifiers are used again."""
    if one.ident == other.ident:
        return False
    return one.birth is None or other.birth is None or one.birth <= other.birth


def _state(thread: Thread) -> str:
    return f"{_SIGNS.get(thread.state, '?')} {thread.state}"


def _seconds(cpu: float | None) -> str:
    return fmt.UNKNOWN if cpu is None else f"{cpu:,.1f}"


def _pool(executor: Executor) -> str:
    return f"{executor.workers}/{executor.max_workers} workers, {fmt.count(executor.queued)} queued"


def _no_stack(thread: Thread) -> str:
    return "no Python stack just now" if thread.python else "a native thread: it runs no Python code"
