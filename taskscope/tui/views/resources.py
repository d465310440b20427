"""Resources: timers, contexts, loops, executors, transports, children, descriptors, locks and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content

from taskscope import text as fmt
from taskscope.model import requests
from taskscope.model.vocabulary import RESOURCE_KINDS
from taskscope.tui import resource_rows
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.resource_rows import KINDS, SHORT, TIMER, Changes, Row
from taskscope.tui.stack_panel import StackPanel
from taskscope.tui.theme import palette
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.model import Frame, Timers
    from taskscope.model.vocabulary import ResourceKind
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

KEEPS = 5
"""Fewest of a group of which it is asked what keeps them, and what timers keep alive."""

QUICK: tuple[ResourceKind, ...] = ("loop", "transport", "generator", "subprocess", "descriptor")
"""Kinds that take no walk over all tasks and threads: they are on the screen first."""

COLUMNS = (
    Column("kind", "kind", 9, sortable=False),
    Column("count", "count", 7, align="right"),
    Column("change", "Δ/min", 7, align="right", priority=1),
    Column("name", "what", 14, flex=3, sortable=False, shorten=True),
    Column("state", "state", 10, flex=4, priority=2, sortable=False),
    Column("each", "each", 6, align="right", priority=3),
    Column("at", "at", 14, flex=3, sortable=False, shorten=True),
)

EXPLAINS = """\
What is neither a task nor a thread and may leak all the same.  All of
it is read while this view is open; otherwise loops, generators and
children are counted every ten seconds, connections only while
descriptors climb, contexts only while memory does.

kind       timer: a call that a loop makes later; context: a variable
           of the contexts that tasks and timers carry; loop; executor;
           transport; generator: an asynchronous one, begun and not
           finished; child: a subprocess; fd: open descriptors;
           primitive: locks, events, queues that somebody waits for
count      how many; of a context variable, its distinct values
Δ/min      change per minute while this view is open
what       the function a timer calls; a variable, class, pool or
           command
state      when timers are due, first and last; how many tasks and
           timers carry the variable; not waited for: a subprocess that
           has ended and was not asked for its status
each       bytes that one timer keeps alive and nothing else does, or of
           a value
at         the line that arms timers, ~ if it is inferred from the
           code; else the line that made it, or where it stands

! marks what piles up: its number grows, and what keeps it shows that
nothing will end it.  Timers are judged if they are due late and only
they keep what they hold.

v shows one kind at a time, then all again; s sorts by count, change or
size.  Below: the row under the cursor in detail; Enter moves there, and
e opens the editor at the line.  uvloop does not show its timers."""

_ORDERS = ("", "count", "change", "each")


class ResourcesScreen(DetailScreen):
    """All resources in one table; ``v`` filters by kind."""

    TITLE = "Resources"
    EXPLAINS = EXPLAINS
    READS = "read the resources"
    EVERY = 2.0
    DEFAULT_CSS = "ResourcesScreen { LineTable { height: 1fr; } StackPanel { height: 40%; } }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "kind", "Kind"),
        Binding("s", "sort", "Sort"),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._only = ""
        self._sort = ""
        self._rows: list[Row] = []
        self._changes = Changes()
        self._notes: list[str] = []
        self._hidden = ""

    def body(self) -> ComposeResult:
        yield self.subject
        yield LineTable[Row](COLUMNS, self._cells, lambda row: row.key, empty="Reading the resources …")
        yield StackPanel(self.reader, inline=False, empty="The row under the cursor in detail.")

    def on_mount(self) -> None:
        self.query_one(StackPanel).border_title = Content("in detail")
        self._table.focus()

    @property
    def _table(self) -> LineTable[Row]:
        return self.query_one(LineTable)

    # -- data

    async def load(self) -> None:
        if not self._rows:  # counts come at once, what keeps them takes seconds where there is much
            await self._look(QUICK, keeps=0)
        await self._look(RESOURCE_KINDS, keeps=KEEPS)

    async def _look(self, kinds: tuple[ResourceKind, ...], *, keeps: int) -> None:
        source = self.context.source
        timers = await source.ask(requests.Timers(keeps=keeps))
        resources = await source.ask(requests.Resources(kinds, keeps))
        self._rows = resource_rows.rows_of(timers, resources)
        self._changes.add(timers.monotonic, self._rows)
        self._hidden = _hidden(timers)
        self._notes = _notes(timers)
        self._arrange()

    def _arrange(self) -> None:
        shown = [each for each in self._rows if self._only in ("", each.kind)]
        if self._sort:
            shown.sort(key=self._value, reverse=True)
        else:
            shown.sort(key=lambda each: not self._is_alarming(each))
        only = [f"only {SHORT.get(self._only, self._only)}"] if self._only else []
        counts = resource_rows.summary(shown) or ["no resource"]
        self.subject.show(", ".join([*counts[:1], *only]), *counts[1:], *self._notes)
        self._table.show_empty(self._why_empty())
        self._table.show_sort(self._sort)
        self._table.show(shown)
        self._show_detail()

    def _why_empty(self) -> str:
        if not self._only:
            return "The process has none."
        unseen = f"  {self._hidden}." if self._hidden and self._only in (TIMER, "transport") else ""
        return f"{resource_rows.NONE[self._only]}{unseen}  v shows the next kind."

    def _value(self, row: Row) -> float:
        if self._sort == "change":
            return self._changes.of(row) or 0.0
        return float(row.count if self._sort == "count" else row.each or 0)

    # -- drawing

    def _cells(self, row: Row) -> Sequence[Cell]:
        colours = palette(self.app.theme_variables)
        alarm = self._is_alarming(row)
        change = self._changes.of(row)
        return (
            SHORT.get(row.kind, row.kind),
            fmt.count(row.count),
            Text(fmt.rate_per_min(change), colours.dim if not change else colours.text),
            Text(f"! {row.name}", colours.alarm) if alarm else row.name,
            row.state,
            "" if row.each is None else fmt.bytes(row.each),
            row.place,
        )

    def _is_alarming(self, row: Row) -> bool:
        return not self._piled_up().isdisjoint((row.subject, (row.kind, "", row.frame)))

    def _piled_up(self) -> set[tuple[object, ...]]:
        """What findings are about; those on threads also mark the pools that these work for."""
        found = {resource_rows.subject_of(each) for each in self.context.store.findings.top}
        return found | {("executor", "", each[2]) for each in found if each[0] == "thread"}

    def _show_detail(self) -> None:
        row = self._table.cursor_row
        self.query_one(StackPanel).show_sections(row.sections if row is not None else [])

    @property
    def frame(self) -> Frame | None:
        row = self._table.cursor_row
        return self.query_one(StackPanel).frame or (row.frame if row is not None else None)

    def as_text(self) -> str:
        lines = ["\t".join(column.label for column in COLUMNS)]
        lines += ["\t".join(str(cell) for cell in self._cells(row)) for row in self._table.rows]
        return "\n".join(lines)

    # -- events

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        if event.control is self._table:
            self.query_one(StackPanel).forget()
            self._show_detail()

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        self.query_one(StackPanel).focus()

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self._sort = "" if event.key == self._sort else event.key
        self._arrange()

    def leave(self) -> None:
        """Esc: moves from the detail to the table, then goes back."""
        if self.query_one(StackPanel).has_focus:
            self._table.focus()
        else:
            super().leave()

    def action_kind(self) -> None:
        kinds = ["", *KINDS]
        at = kinds.index(self._only) if self._only in kinds else 0
        self._only = kinds[(at + 1) % len(kinds)]
        self._arrange()

    def action_sort(self) -> None:
        self._sort = _ORDERS[(_ORDERS.index(self._sort) + 1) % len(_ORDERS)]
        self._arrange()


def _hidden(timers: Timers) -> str:
    if not timers.hidden:
        return ""
    verb = "does not show its timers" if timers.hidden == 1 else "do not show their timers"
    return f"{fmt.plural(timers.hidden, 'loop')} {verb}"


def _notes(timers: Timers) -> list[str]:
    found = [each for each in (_hidden(timers),) if each]
    if timers.cancelled:
        found.append(f"{fmt.count(timers.cancelled)} cancelled, not yet removed")
    if timers.unlisted:
        found.append(f"{fmt.count(timers.unlisted)} timers in smaller groups")
    return found
