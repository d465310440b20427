"""Threads: what each does, what started it, and the live stack of the one under the cursor."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from taskscope import text as fmt
from taskscope.analysis.patterns.chains import STILL
from taskscope.model import Thread, requests
from taskscope.sources.base import NotAvailable
from taskscope.tui.line_tree import LineTree, Node
from taskscope.tui.stack_panel import StackPanel
from taskscope.tui.thread_table import EXPLAINS as THREAD_COLUMNS
from taskscope.tui.thread_table import ThreadTable, pool_text, seconds_of, sections_of, state_of
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.model import Frame, ThreadDetail
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.line_table import Cell, LineTable

WAITS_EVERY = 5.0
"""Seconds between looks at who waits for whom."""

EXPLAINS = f"""\
Every thread of the process, including those not started by the
threading module.  v shows which thread started which.

{THREAD_COLUMNS}

Below: the live stack of the thread under the cursor, innermost
first; Enter moves to it and opens frames.  s sorts by CPU or name,
e opens the editor at the line, y copies the stack."""


class ThreadsScreen(DetailScreen):
    """All threads, as a table, or with ``as_tree`` below the thread that started them."""

    TITLE = "Threads"
    EXPLAINS = EXPLAINS
    READS = "read the threads"
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
        self._threads: dict[int, Thread] = {}
        self._by_ident: dict[int, Node[Thread]] = {}
        self._detail: ThreadDetail | None = None
        self._stuck: frozenset[int] = frozenset()
        self._next_waits = float("-inf")

    def body(self) -> ComposeResult:
        yield self.subject
        with Container(id="threads"):
            empty = "Reading the threads …"
            yield ThreadTable(self.context)
            tail = (("cpu s", 9), ("state", 10))
            yield LineTree[Thread]("thread", tail, self._tree_cells, empty=empty)
        yield StackPanel(self.reader, inline=False, empty="The stack of the thread under the cursor.")

    def on_mount(self) -> None:
        self.set_class(self._as_tree, "-tree")
        self._front.focus()

    @property
    def _front(self) -> LineList[Thread] | LineList[Node[Thread]]:
        return self.query_one(LineTree) if self._as_tree else self.query_one(ThreadTable)

    # -- data

    async def load(self) -> None:
        threads = await self.context.source.ask(requests.Threads())
        self._threads = {thread.ident: thread for thread in threads}
        table = self.query_one(ThreadTable)
        table.stuck = await self._stuck_now()
        self._say()
        table.show_empty("This source has no threads.")
        self._show_tree(table.show_threads(threads))
        await self._load_stack()

    async def _stuck_now(self) -> frozenset[int]:
        """The threads that nothing can continue; asked for every few seconds, as it takes a walk."""
        if self.context.clock() >= self._next_waits:
            self._next_waits = self.context.clock() + WAITS_EVERY
            with suppress(NotAvailable):
                graph = await self.context.source.ask(requests.Waits())
                self._stuck = frozenset(
                    each.number
                    for each in graph.nodes
                    if each.kind == "thread"
                    and each.since is not None
                    and graph.monotonic - each.since >= STILL
                )
        return self._stuck

    def _say(self) -> None:
        pools = {thread.executor.id: thread.executor for thread in self._threads.values() if thread.executor}
        queued = sum(pool.queued for pool in pools.values())
        told = [f"{fmt.plural(len(pools), 'executor')}, {fmt.plural(queued, 'job')} queued"] if pools else []
        told = told or (["no executor"] if self.context.store.counts_births else [])
        self.subject.show(
            fmt.plural(len(self._threads), "thread"),
            *([f"{len(self._stuck)} stuck"] if self._stuck else []),
            *(f"{pool.name} {pool_text(pool)}" for pool in pools.values() if pool.queued),
            *told,
        )

    def _show_tree(self, threads: Sequence[Thread]) -> None:
        self.query_one(LineTree).show_roots(self._roots(threads))

    def _roots(self, threads: Sequence[Thread]) -> list[Node[Thread]]:
        """Threads below the one that started them; roots if that has ended or is unknown."""
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
            self._detail = await self.context.source.ask(requests.Thread(thread.ident))
        except NotAvailable as problem:
            panel.show_empty(str(problem))
            panel.show_sections([])
            return
        panel.show_sections(sections_of(self._detail, self.context))

    def _current(self) -> Thread | None:
        row = self._front.cursor_row
        return row.data if isinstance(row, Node) else row

    # -- drawing

    def _tree_cells(self, thread: Thread) -> Sequence[Cell]:
        return (f"{thread.name}  {thread.doing}", seconds_of(thread), state_of(thread))

    @property
    def frame(self) -> Frame | None:
        return self.query_one(StackPanel).frame

    def as_text(self) -> str:
        thread = self._detail.thread if self._detail else None
        return f"thread {thread.name}\n{self.query_one(StackPanel).as_text()}" if thread else ""

    # -- events

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        if event.control is self._front:
            self.query_one(StackPanel).forget()
            self.run_worker(self._show_stack(), group="stack", exclusive=True)

    async def _show_stack(self) -> None:
        await self.context.ask(self._load_stack())

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        self.query_one(StackPanel).focus()

    def leave(self) -> None:
        """Esc: moves from the stack to the list, then goes back."""
        if self.query_one(StackPanel).has_focus:
            self._front.focus()
        else:
            super().leave()

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self._show_tree(self.query_one(ThreadTable).sort_by(event.key))

    def action_sort(self) -> None:
        self._show_tree(self.query_one(ThreadTable).sort_by_next())

    def action_next_tree(self) -> None:
        self._as_tree = not self._as_tree
        self.set_class(self._as_tree, "-tree")
        self._front.focus()


def _older(one: Thread, other: Thread) -> bool:
    """Whether ``one`` can have started ``other``: identifiers are reused."""
    if one.ident == other.ident:
        return False
    return one.birth is None or other.birth is None or one.birth <= other.birth
