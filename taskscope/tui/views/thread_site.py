"""The site view for a line that starts threads."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from textual.content import Content

from taskscope import text as fmt
from taskscope.model import Ages, ParkedGroup, Task, Thread, requests
from taskscope.sources.base import NotAvailable
from taskscope.tui.site_panels import AgeHistogram
from taskscope.tui.stack_panel import StackPanel
from taskscope.tui.thread_table import EXPLAINS as THREAD_COLUMNS
from taskscope.tui.thread_table import ThreadTable, sections_of
from taskscope.tui.views.site import EXPLAINS_PANELS, SiteScreen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.line_table import LineTable
    from taskscope.tui.rows import Row


class ThreadSiteScreen(SiteScreen):
    """The threads of ``row``, and the stack of the one under the cursor."""

    EXPLAINS = f"""\
{EXPLAINS_PANELS}

{THREAD_COLUMNS}

o sorts by CPU or name.  v shows the next panel, tab moves to it; Enter on
a thread moves to its stack.  e opens the editor at the line, y copies the
stack."""

    NOUN = "thread"

    def __init__(self, context: Context, row: Row) -> None:
        super().__init__(context, row)
        self._threads: Sequence[Thread] = ()

    def members(self) -> Widget:
        return ThreadTable(self.context, id="members")

    @property
    def _table(self) -> ThreadTable:
        return self.query_one(ThreadTable)

    async def load(self) -> None:
        if self._detail is None:
            await self.load_detail()
        every = await self.context.source.ask(requests.Threads())
        threads = [thread for thread in every if thread.site in self.row.sites]
        self.query_one(AgeHistogram).show(
            Ages.of((thread.birth for thread in threads), self.context.store.now)
        )
        self.show_parked(places(threads))
        self._threads = threads
        self.ask_members()
        await self._load_stack()

    def ask_members(self) -> None:
        only = self._only
        shown = [each for each in self._threads if only is None or _place(each) == only.key]
        what = f"in {only.text} (Esc: all)" if only else "threads"
        self._table.show_empty("No thread of this site is live.")
        self._table.show_threads(shown)
        self._table.border_title = Content(f"{what}: {fmt.count(len(shown)) if shown else 'none'}")

    async def _load_stack(self) -> None:
        thread, panel = self._table.cursor_row, self.query_one(StackPanel)
        panel.show_empty("The stack of the thread under the cursor.")
        if thread is None:
            panel.show_sections([])
            return
        panel.border_title = Content(f"{thread.name}, {thread.state}")
        with suppress(NotAvailable):  # it has ended
            detail = await self.context.source.ask(requests.Thread(thread.ident))
            panel.show_sections(sections_of(detail, self.context))

    def show_stacks(self) -> None:
        """Does nothing: this view shows the stacks of single threads."""

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        if event.control is self._table:
            self.query_one(StackPanel).forget()
            self.run_worker(self.context.ask(self._load_stack()), group="stack", exclusive=True)

    def open_member(self, member: Task | Thread) -> None:
        self.choose("stack")
        self.query_one(StackPanel).focus()

    def action_order(self) -> None:
        self._table.sort_by_next()

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self._table.sort_by(event.key)


def places(threads: Iterable[Thread]) -> Sequence[ParkedGroup]:
    """What the threads do and where, largest group first."""
    found: dict[str, list[Thread]] = {}
    for thread in threads:
        if thread.frame is not None:
            found.setdefault(_place(thread), []).append(thread)
    groups = [
        ParkedGroup(
            key,
            each[0].frame,  # type: ignore[arg-type]  # those without are left out above
            each[0].wait,
            each[0].text,
            len(each),
            min((thread.birth for thread in each if thread.birth is not None), default=None),
        )
        for key, each in found.items()
    ]
    return sorted(groups, key=lambda group: -group.live)


def _place(thread: Thread) -> str:
    where = f"{thread.frame.file}:{thread.frame.line}" if thread.frame else ""
    return f"{thread.text}|{where}"
