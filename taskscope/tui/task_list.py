"""A list of live tasks of any length: pages around the view, ages, and where each is parked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual.content import Content

from taskscope import text as fmt
from taskscope.model import Task, requests
from taskscope.sources.base import SourceError
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.messages import Sent
from taskscope.tui.paging import OPPOSITE, PAGE, Pager, Window
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.worker import Worker

    from taskscope.model import Parked, TaskPage
    from taskscope.model.vocabulary import Order
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.paging import Fetch

LONG_LIVED, ORPHAN, CANCELLING = "·", "†", "✕"

COLUMNS = (
    Column("age", "age", 7, align="right"),
    Column("signs", "", 3, sortable=False),
    Column("parked", "parked at", 16, flex=2, sortable=False),
    Column("left", "left", 7, align="right", priority=1, sortable=False),
    Column("where", "in", 20, flex=2, priority=1, sortable=False),
    Column("name", "name", 12, flex=1, priority=3, sortable=False),
    Column("coroutine", "coroutine", 14, flex=1, priority=4, sortable=False),
    Column("parent", "parent", 8, align="right", priority=2, sortable=False),
)

EXPLAINS = """\
Columns of a list of tasks (oldest first; o, or a click on "age",
reverses it):
age        time since its creation; >2h14m: older than the agent, so
           at least that
·          long-lived: past the threshold; a fact, not a fault
†          orphan: the task that created it has ended
✕          cancel was requested, and it still runs
parked at  what it waits on; left: time left of a sleep
in         the innermost line of user code that waits
parent     number of the task that created it; 0: none
Only the pages around the view are loaded."""


def oldest_age(context: Context, birth: float | None) -> str:
    """The age of a task born at ``birth``; ``~…`` an estimate, ``>…`` just older than the agent."""
    store = context.store
    since = store.hello.agent_since if store.hello is not None and store.counts_births else None
    if birth is not None:
        return store.age_text(birth)
    return fmt.UNKNOWN if since is None else f">{fmt.age(store.age(since))}"


def parked_text(parked: Parked | None, state: str) -> str:
    """What a task waits on, in words."""
    if parked is None:
        return state
    left = f", {fmt.age(parked.remaining)} left" if parked.remaining is not None else ""
    more = parked.detail or (parked.descriptor.text if parked.descriptor is not None else "")
    return f"{parked.text}{', ' if more else ''}{more}{left}"


class TaskList(LineTable[Task]):
    """Requests the pages that are in view, as ``ask_for`` sets, and refreshes them."""

    DEFAULT_CSS = "TaskList { border-top: solid $border; border-title-color: $text-muted; }"

    class Failed(Sent["TaskList"]):
        """The list could not be read."""

        def __init__(self, list: TaskList, problem: SourceError) -> None:
            super().__init__(list)
            self.problem = problem

    def __init__(self, context: Context, *, id: str | None = None) -> None:
        super().__init__(COLUMNS, self._cells, lambda task: task.serial, id=id, empty="Reading the tasks …")
        self.context = context
        self._pager: Pager | None = None
        self._reading: Worker[None] | None = None
        self._what = ""
        self._why_empty = ""
        self._exact = True
        self._read_at = 0.0
        self.order: Order = "oldest"

    def ask_for(self, fetch: Fetch, what: str, why_empty: str) -> None:
        """Shows the tasks that ``fetch`` returns, with ``what`` as their title."""
        self._pager = Pager(fetch, self.order)
        self._fetch = fetch
        self._what, self._why_empty = what, why_empty
        if self.context.store.counts_births:
            self.show_sort("age", descending=self.order == "oldest")
        self.show_empty("Reading the tasks …")
        self.show(())
        self.refresh_page()

    def turn_round(self) -> None:
        """Reverses the order."""
        self.order = OPPOSITE[self.order]
        if self._pager is not None:
            self.ask_for(self._fetch, self._what, self._why_empty)

    def refresh_page(self) -> None:
        """Requests the pages in view again, unless a request is pending."""
        if self._reading is None or self._reading.is_finished:
            self._read()

    def on_line_list_rows_wanted(self, event: LineList.RowsWanted) -> None:
        event.stop()
        self._read()

    def _read(self) -> None:
        lines = max(self.page_lines, 10)
        top = round(self.scroll_y)
        first = max(0, top - lines)  # a screen before and after, for small moves
        self._reading = self.run_worker(
            self._load(first, top + 2 * lines - first), group="page", exclusive=True
        )

    async def _load(self, first: int, count: int) -> None:
        if self._pager is None:
            return
        try:
            window = await self._pager.window(first, count, self._progress)
        except SourceError as problem:
            self.show_empty(f"Could not read the tasks: {problem}")
            self.post_message(self.Failed(self, problem))
            return
        self._show_window(window)

    def _progress(self, passed: int) -> None:
        if passed > 2 * PAGE:
            self._title(f"reading … {fmt.count(passed)} skipped")

    def _show_window(self, window: Window) -> None:
        self.show_empty(self._why_empty)
        self._exact = window.exact_total
        self._read_at = self.context.store.now
        self.show(window.tasks, first=window.first, total=window.total)
        self._title("")

    def _title(self, busy: str) -> None:
        if not self.total:
            self.border_title = Content(f"{self._what}: none")
            return
        top = round(self.scroll_y)
        about = "" if self._exact else "about "
        last = min(self.total, top + self.page_lines)
        place = f"{fmt.count(top + 1)} to {fmt.count(last)} of {about}{fmt.count(self.total)}"
        order = f", {self.order} first" if self.context.store.counts_births else ""
        self.border_title = Content(f"{self._what}: {place}{order}  {busy}".rstrip())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._title("")

    def _cells(self, task: Task) -> Sequence[Cell]:
        context, colours = self.context, palette(self.app.theme_variables)
        age = context.store.age(task.birth)
        births = context.store.counts_births
        long_lived = births if age is None else age >= context.long_lived
        signs = f"{LONG_LIVED if long_lived else ' '}{ORPHAN if task.orphan else ' '}"
        where = (task.parked.user_frame or task.parked.frame) if task.parked else None
        return (
            Text(oldest_age(context, task.birth), colours.strong if long_lived else colours.text),
            Text(signs + (CANCELLING if task.cancelling else ""), colours.strong),
            task.parked.text if task.parked else task.state,
            self._left(task.parked),
            fmt.frame(where),
            task.name,
            Text(task.coroutine, colours.dim),
            Text(str(task.parent) if births else fmt.UNKNOWN, colours.dim),
        )

    def _left(self, parked: Parked | None) -> str:
        """The time left of a sleep now."""
        if parked is None or parked.remaining is None:
            return ""
        return fmt.age(parked.remaining - (self.context.store.now - self._read_at))

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self.turn_round()


def fetch_of(context: Context, query: requests.Tasks) -> Fetch:
    """Requests pages of ``query`` from the context's current source."""

    async def fetch(*, order: Order, after: int | None, limit: int) -> TaskPage:
        return await context.source.ask(replace(query, order=order, after=after, limit=limit))

    return fetch
