"""Recently ended tasks: outcome, lifetime and error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from taskscope import text as fmt
from taskscope.model import Ended, requests
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.theme import palette
from taskscope.tui.views import site_screen
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.model import Frame
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

LIMIT = 500
"""Tasks requested; the agent keeps a bounded number."""

SIGNS = {"finished": "✓", "failed": "✗", "cancelled": "⊘", "lost": "?", "unseen": "·"}

COLUMNS = (
    Column("ago", "ago", 7, align="right", sortable=False),
    Column("outcome", "outcome", 11, sortable=False),
    Column("lived", "lived", 8, align="right", sortable=False),
    Column("coroutine", "coroutine", 16, flex=1, sortable=False),
    Column("error", "error", 16, flex=2, priority=1, sortable=False),
    Column("site", "created at", 20, flex=2, priority=2, sortable=False),
    Column("name", "name", 12, flex=1, priority=3, sortable=False),
    Column("serial", "task", 9, align="right", priority=4, sortable=False),
)

EXPLAINS = """\
Recently ended tasks, newest first.  The agent keeps only the last
ones.

ago         since it ended
outcome     ✓ finished: returned a result; ✗ failed: raised, with
            the error; ⊘ cancelled; ? lost: destroyed while pending,
            a bug; · unseen: older than the agent, outcome not known
lived       from creation to end; –: older than the agent
created at  its creation site; Enter opens it

v shows one outcome at a time, then all again.  y copies the list."""

OUTCOMES = ("", "failed", "cancelled", "lost", "finished")


class EndedScreen(DetailScreen):
    """The newest ended tasks; ``v`` filters them by outcome."""

    TITLE = "Ended tasks"
    EXPLAINS = EXPLAINS
    READS = "read the ended tasks"
    DEFAULT_CSS = """
    EndedScreen {
        LineTable { height: 1fr; }
        Static { display: none; height: auto; max-height: 4; padding: 0 1; background: $panel; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "outcome", "Outcome")]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._only = ""
        self._ended: tuple[Ended, ...] = ()

    def body(self) -> ComposeResult:
        yield self.subject
        yield LineTable[Ended](
            COLUMNS, self._cells, lambda ended: (ended.serial, ended.end), empty="Reading the ended tasks …"
        )
        yield Static(markup=False)

    def on_mount(self) -> None:
        self._table.focus()

    @property
    def _table(self) -> LineTable[Ended]:
        return self.query_one(LineTable)

    async def load(self) -> None:
        self._ended = await self.context.source.ask(requests.Ended(LIMIT))
        self._arrange()

    def _arrange(self) -> None:
        shown = [each for each in self._ended if self._only in ("", each.outcome)]
        only = f", only {self._only}" if self._only else ""
        counts = [
            f"{SIGNS[kind]} {sum(each.outcome == kind for each in self._ended)} {kind}" for kind in SIGNS
        ]
        self.subject.show(f"{len(shown)} of the last {len(self._ended)} ended tasks{only}", *counts)
        if self._only and self._ended:
            self._table.show_empty(
                f"None of the last {len(self._ended)} ended as {self._only}.  v shows the next outcome."
            )
        else:
            self._table.show_empty("No task has ended since the agent started.")
        self._table.show(shown)

    def _cells(self, ended: Ended) -> Sequence[Cell]:
        store, colours = self.context.store, palette(self.app.theme_variables)
        site = store.site(ended.site)
        style = colours.warning if ended.outcome in ("failed", "lost") else colours.text
        return (
            fmt.age(store.age(ended.end)),
            Text(f"{SIGNS.get(ended.outcome, '?')} {ended.outcome}", style),
            fmt.age(None if ended.birth is None else ended.end - ended.birth),
            ended.coroutine,
            ended.error,
            site.label if site else fmt.UNKNOWN,
            ended.name,
            str(ended.serial),
        )

    @property
    def frame(self) -> Frame | None:
        ended = self._table.cursor_row
        site = self.context.store.site(ended.site) if ended else None
        return site.frame if site else None

    def as_text(self) -> str:
        lines = [
            f"task {each.serial}\t{each.name}\t{each.coroutine}\t{each.outcome}\t{each.error}"
            for each in self._table.rows
        ]
        return "\n".join(lines)

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        error = self.query_one(Static)
        error.display = bool(event.row.error)
        error.update(event.row.error)

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        row = self.context.store.site(event.row.site)
        if row is None:
            self.context.error(f"The site of task {event.row.serial} is no longer known.")
            return
        self.app.push_screen(site_screen(self.context, row))

    def action_outcome(self) -> None:
        self._only = OUTCOMES[(OUTCOMES.index(self._only) + 1) % len(OUTCOMES)]
        self._arrange()
