"""The first view: whether the target grows, which line, since when and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from taskscope import text as fmt
from taskscope.model import requests
from taskscope.tui.caption import Caption
from taskscope.tui.charts import Charts, height_for
from taskscope.tui.context import LONG_LIVED, State
from taskscope.tui.filter_field import SLASH, FilterField
from taskscope.tui.findings_panel import FindingsPanel, most
from taskscope.tui.messages import OverviewLeft
from taskscope.tui.ordering import matches, of_sites
from taskscope.tui.site_table import BIRTHS, BY_KEY, SiteTable
from taskscope.tui.site_table import LONG_LIVED as LONG
from taskscope.tui.slider import KEYS
from taskscope.tui.store import GROUPINGS, WALKED
from taskscope.tui.view import ViewScreen
from taskscope.tui.views import finding_screen, site_screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from taskscope.model.vocabulary import GroupBy
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.line_table import LineTable
    from taskscope.tui.rows import Row

GROUPS_EVERY = 3.0
"""Seconds between two walks, for groupings that need one."""

NAMES = {
    "site": "creation sites",
    "user site": "user sites",
    "coroutine": "coroutines",
    "parent": "parent sites",
    "parked": "parking places",
}

EXPLAINS = """\
Each row is a creation site: the line of code that starts tasks of one coroutine.  Where that is a
library's, your own line that leads to it stands before it: own → library.

live       tasks that are not done
Δ/min      change of live per minute, over the last minute
Δ base     change of live since the baseline (b marks it, B clears it)
oldest     age of the oldest live task; median: half are younger
born/s     tasks started per second; end/s: ended per second, over the last 5 seconds
err        tasks that ended with an exception, since the agent started
10 min     live over the last ten minutes (less for a young target), scaled from zero to its maximum;
           births instead where tasks come and go, and in all rows if sorted by births
·          long-lived: the oldest is past the threshold ([ and ] change it); a fact, not a fault
!          a finding: tasks pile up here.  LEAK: they grow for longer than start-up explains, and stay;
           SUSPECT: it is too early to judge, or some of them end.  The line above the table says where,
           how fast, since when and why, and what hangs or spins (HANG, SPIN); Enter on the row, or f,
           shows the evidence.  What hangs or spins has no row: while it is the worst, Enter opens it
           until you move the cursor
thr        a line that starts threads, not tasks
~          a guess or an estimate, for tasks older than the agent: their site, age or past, which is dim
–          unknown

/ filters by site, file or coroutine (all words must match).  s sorts by the next column, S reverses
the order; a click on a column's header does the same.  g groups by creation site, user site, coroutine,
parent site, or parking place.  While you move the cursor, the order is held for a few seconds, and the
cursor always stays on its row.

m charts the next series, z the next time span.  space pauses.  i changes the sampling interval.
f lists the findings, d dismisses the one under the cursor for this target (d again restores it).
w saves a snapshot in the working directory, R starts and stops a recording there.  t trees.  1 overview,
2 threads, 3 ended, 4 stalls, 5 loops, 6 resources, 7 CPU.  Enter opens the row under the cursor, Esc goes
back.  ctrl+p lists all commands."""


class OverviewScreen(ViewScreen):
    """Charts above, sites below."""

    TITLE = "Overview"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = """
    OverviewScreen {
        SiteTable { height: 1fr; }
        &.-tiny { Charts, FindingsPanel, Caption { display: none; } }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Clear", show=False),
        SLASH,
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse the order", show=False),
        Binding("f", "findings", "Findings"),
        Binding("d", "toggle_finding", "Dismiss a finding", show=False),
        Binding("m", "series", "Chart another series", show=False),
        Binding("z", "span", "Chart another time span", show=False),
        Binding("left_square_bracket", "threshold(-1)", "Lower the long-lived threshold", show=False),
        Binding("right_square_bracket", "threshold(1)", "Raise the long-lived threshold", show=False),
        *KEYS,
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._ordering = of_sites()
        self._by = GROUPINGS[0]
        self._sort = "growth"
        self._descending = True
        self._filter = ""
        self._past = 0
        self._most_rows = 0
        self._every: Sequence[Row] = ()
        self._words = ""
        self._matching: Sequence[Row] = ()
        self._asking: set[str] = set()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a recording, the keys of the threshold step."""
        if action == "threshold":
            return self.context.playback is None
        return super().check_action(action, parameters)

    def body(self) -> ComposeResult:
        yield Charts(self.context)
        yield FindingsPanel(self.context)
        yield Caption()
        yield SiteTable(self.context)
        yield FilterField("site, file or coroutine")

    def on_mount(self) -> None:
        table = self.query_one(SiteTable)
        table.show_sort(self._sort, descending=self._descending)
        table.focus()
        self.watch(self.app, "theme", table.recolour, init=False)
        self.set_interval(GROUPS_EVERY, self._walk)

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._most_rows = 0
        self._fit_charts()
        self.query_one(FindingsPanel).most = most(event.size.height)

    def _fit_charts(self) -> None:
        """Gives the charts what the table leaves; a new row takes a line back, an ended one leaves it."""
        rows = self._lines()
        if rows >= self._most_rows:
            self._most_rows = rows
            self.query_one(Charts).styles.height = height_for(self.app.size.height, rows)

    def _lines(self) -> int:
        """Rows below the charts."""
        return len(self._every)

    # -- drawing

    def look(self) -> None:
        self.query_one(Charts).look()
        self.query_one(FindingsPanel).look()
        store, table = self.context.store, self.query_one(SiteTable)
        self._open_wanted()
        table.fit_columns()
        if self._past != store.past_version:  # more rates are known now
            self._past = store.past_version
            self._ordering.reset()
        every = store.rows(self._by)
        if every is not self._every or self._filter != self._words:
            self._every, self._words = every, self._filter
            self._fit_charts()
            words = self._filter.lower().split()
            self._matching = [row for row in every if matches(row, words)] if words else every
        value = BY_KEY[self._sort].value
        now = self.context.clock()
        shown = self._ordering.arrange(
            self._matching,
            lambda row: value(row, store),
            descending=self._descending,
            now=now,
            moment=store.now,
        )
        table.show_empty(self._reason(len(every)))
        table.show(shown)
        self._caption(len(shown), len(every))

    def _open_wanted(self) -> None:
        """Opens the site that was chosen before the process was."""
        row = self.context.store.site(self.context.opens) if self.context.opens is not None else None
        if row is not None:
            self.context.opens = None
            self._open(row)

    def _heading(self) -> str:
        hello = self.context.store.hello
        where_they_wait = hello is not None and hello.arrived == "outside" and self._by == "site"
        return "lines where tasks wait" if where_they_wait else NAMES[self._by]

    def _caption(self, shown: int, total: int) -> None:
        count = fmt.count(total) if shown == total else f"{fmt.count(shown)} of {fmt.count(total)}"
        parts = [
            f"{self._heading()} ({count})",
            f"by {BY_KEY[self._sort].name} {'▾' if self._descending else '▴'}",
        ]
        if self._ordering.held:
            parts.append("order held while you navigate")
        if self._filter:
            parts.append(f"filter: {self._filter}")
        parts.append(f"“{LONG}” older than {fmt.age(self.context.long_lived)}")
        self.query_one(Caption).say(*parts)

    def _reason(self, total: int) -> str:
        """Why the table is empty, and what to do."""
        context = self.context
        if self._filter and total:
            return f"Nothing matches “{self._filter}”.  Esc clears the filter."
        if context.state is State.CONNECTING:
            return "Connecting …"
        if context.state is State.FAILED:
            return f"{context.reason}  Press q to quit."
        if self._by in WALKED:
            return "Walking the tasks …  g switches the grouping."
        hello = context.store.hello
        for sentence in fmt.unseen(hello) if hello is not None else ():
            return f"{'No tasks of asyncio.  ' if hello and hello.counts_tasks else ''}{sentence}."
        return "No tasks yet.  They show here as soon as the target starts one."

    def _walk(self) -> None:
        """Requests the groups, unless a request is pending: walking many tasks takes long."""
        live = self.context.state is State.LIVE and not self.context.store.paused
        by = next((each for each in WALKED if each == self._by), None)
        wanted = (live or self.context.state is State.SAVED) and self.is_current
        if by is not None and wanted and by not in self._asking:
            self._asking.add(by)
            self.run_worker(self._ask_groups(by), group="groups")

    async def _ask_groups(self, by: GroupBy) -> None:
        try:
            groups = await self.context.ask(self.context.source.ask(requests.Groups(by)))
        finally:
            self._asking.discard(by)
        if groups is not None:
            self.context.store.merge_groups(by, groups)
            self.look()

    # -- input

    def on_site_table_cursor_moved(self) -> None:
        self._ordering.touch(self.context.clock())

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        """Opens the row, or the worst finding if that has none and the cursor was left alone."""
        event.stop()
        worst = next(iter(self.context.store.findings.top), None)
        if worst is None or worst.id or self.query_one(SiteTable).touched:
            self._open(event.row)
        else:
            self.app.push_screen(finding_screen(self.context, worst))

    def _open(self, row: Row) -> None:
        self.app.push_screen(site_screen(self.context, row))

    def on_findings_panel_opened(self, event: FindingsPanel.Opened) -> None:
        event.stop()
        if event.finding is None:
            self.action_findings()
        else:
            self.app.push_screen(finding_screen(self.context, event.finding))

    def action_findings(self) -> None:
        from taskscope.tui.views.findings import FindingsScreen

        self.app.push_screen(FindingsScreen(self.context))

    def action_toggle_finding(self) -> None:
        row = self.query_one(SiteTable).cursor_row
        self.context.dismiss(self.context.store.findings.of(row.sites) if row else None)
        self.look()

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        if event.key == self._sort:
            self.action_reverse()
        else:
            self._sort_by(event.key)

    def action_sort(self) -> None:
        """Sorts by the next column that is visible, and by births in any case."""
        shown = {*self.query_one(SiteTable).shown_columns, BIRTHS} - {"mark"}
        keys = [key for key in BY_KEY if key in shown]
        at = keys.index(self._sort) if self._sort in keys else -1
        self._sort_by(keys[(at + 1) % len(keys)])

    def action_reverse(self) -> None:
        self._sort_by(self._sort, descending=not self._descending)

    def _sort_by(self, key: str, *, descending: bool | None = None) -> None:
        self._sort = key
        self._descending = BY_KEY[key].descending if descending is None else descending
        self.query_one(SiteTable).show_sort(key, descending=self._descending)
        self._ordering.reset()
        self.look()

    def action_group(self) -> None:
        self._by = GROUPINGS[(GROUPINGS.index(self._by) + 1) % len(GROUPINGS)]
        self._ordering.forget()
        self.look()
        self._walk()

    def action_series(self) -> None:
        self.context.status(f"Charting {self.query_one(Charts).choose_next()}.")

    def action_span(self) -> None:
        self.context.status(f"Charts show {self.query_one(Charts).choose_span()}.")

    def action_threshold(self, step: int) -> None:
        at = LONG_LIVED.index(self.context.long_lived)
        self.context.long_lived = LONG_LIVED[min(max(0, at + step), len(LONG_LIVED) - 1)]
        self.context.status(f"Tasks count as long-lived from {fmt.age(self.context.long_lived)}.")
        self.look()

    def action_filter(self) -> None:
        self.query_one(FilterField).open()

    def on_input_changed(self, event: FilterField.Changed) -> None:
        self._filter = event.value.strip()
        self._ordering.reset()
        self.look()

    def on_input_submitted(self) -> None:
        self._leave_filter(clear=False)

    def _leave_filter(self, *, clear: bool) -> bool:
        was = self.query_one(FilterField).close(clear=clear)
        self.query_one(SiteTable).focus()
        return was

    def leave(self) -> None:
        """Esc: clears the filter, else leaves the overview."""
        if not self._leave_filter(clear=True):
            self.post_message(OverviewLeft())
