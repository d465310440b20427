"""The first view of a group: sums above, the merged sites and the processes below."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding

from taskscope.export.members import state
from taskscope.model.members import Member
from taskscope.text import count
from taskscope.tui.caption import Caption
from taskscope.tui.charts import Charts
from taskscope.tui.current_findings import style_of
from taskscope.tui.filter_field import FilterField
from taskscope.tui.findings_panel import FindingsPanel
from taskscope.tui.line_table import Cell, Column, arrange
from taskscope.tui.messages import OverviewLeft, ProcessChosen
from taskscope.tui.overview import EXPLAINS, OverviewScreen
from taskscope.tui.processes import Processes
from taskscope.tui.site_table import SiteTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from taskscope.sources.gathered import Spread
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.rows import Row
    from taskscope.tui.theme import Palette

BOTH = 32
"""Lines of a terminal from which sites and processes are listed together."""

MOST = 8
"""Processes that can have a column of their own."""

SHARE, FEWEST = 3, 4
"""The processes get at most one of so many lines then, and at least so many lines."""

ABOUT = """\
Several processes as one: the charts show their sums (of latencies, the worst), and each row is a
line of code with the tasks of all processes.

in         in how many processes the line has live tasks; ▲ and a pid: that one keeps far more than
           its siblings, at every moment of the last ten seconds
a pid      live tasks in that process; where there is room for all of them

p goes to the processes and back.  / and s filter and sort the list that the cursor is in.  Enter on
a process opens it; Enter on a site or a finding opens it in the process where it is worst; Esc comes
back here.  A process that has ended stays listed, and what it had stays in the charts.

"""


class GroupTable(SiteTable):
    """The merged sites, with columns that say in which processes they are."""

    def __init__(self, context: Context) -> None:
        self._pids: tuple[int, ...] = ()
        """The processes that have a column of their own."""
        super().__init__(context)

    def _columns_now(self) -> Sequence[Column]:
        return self._columns_with(self._pids)

    def _columns_with(self, pids: Sequence[int]) -> list[Column]:
        columns = [
            replace(each, priority=each.priority + (each.key == "median")) for each in super()._columns_now()
        ]
        columns.insert(-2, Column("in", "in", 8, priority=1, sortable=False))
        columns[-2:-2] = [
            Column(str(pid), str(pid), 8, align="right", priority=4, sortable=False) for pid in pids
        ]
        return columns

    def fit_columns(self) -> None:
        """Gives each process a column of its own if there is room for all of them."""
        pids = tuple(each.pid for each in self._working())
        shown = {each.column.key for each in arrange(self._columns_with(pids), self.size.width - 2)}
        pids = pids if len(pids) <= MOST and shown.issuperset(map(str, pids)) else ()
        if pids != self._pids:
            self._pids, self._columns_of = pids, None
        super().fit_columns()

    def _working(self) -> list[Member]:
        """The processes attached to, but a parent that only looks after the others."""
        group = self.context.group
        live = [each for each in group.members() if each.state == "attached"] if group is not None else []
        parents = {each.parent for each in live}
        return sorted(
            (each for each in live if each.tasks or each.pid not in parents), key=lambda each: each.pid
        )

    def _read_row(self, row: Row, colours: Palette) -> list[Cell]:
        cells, group = super()._read_row(row, colours), self.context.group
        spreads = [group.gathered.spread(site) for site in row.sites] if group is not None else []
        finding = self.context.store.findings.alarming(row.sites)
        marked = colours.text if finding is None else style_of(finding, colours)
        own: list[Cell] = [spelt(spreads, marked)]
        for pid in self._pids:
            live = sum(each.live.get(pid, 0) for each in spreads)
            far = any(pid in each.outliers for each in spreads)
            own.append(Text(count(live), marked if far else colours.text if live else colours.dim))
        cells[-2:-2] = own
        return cells


def spelt(spreads: Sequence[Spread], style: Style) -> Cell:
    """``4/4``, or the outlier, which is no fault by itself."""
    far = sorted({pid for each in spreads for pid in each.outliers})
    if far:
        return Text(f"▲{far[0]}" + f"+{len(far) - 1}" * (len(far) > 1), style)
    here = {pid for each in spreads for pid, live in each.live.items() if live}
    return f"{len(here)}/{max((each.of for each in spreads), default=0)}"


class GroupScreen(OverviewScreen):
    """Charts, findings, the merged sites, the processes."""

    TITLE = "Group"
    EXPLAINS = ABOUT + EXPLAINS
    DEFAULT_CSS = """
    GroupScreen {
        SiteTable { height: 1fr; }
        &.-tiny { Charts, FindingsPanel, Caption { display: none; } }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "processes", "Processes")]

    def body(self) -> ComposeResult:
        yield Charts(self.context)
        yield FindingsPanel(self.context)
        yield Caption()
        yield GroupTable(self.context)
        yield FilterField("site, file or coroutine")
        yield Processes(self.context)

    @property
    def _processes(self) -> Processes:
        return self.query_one(Processes)

    def on_mount(self) -> None:
        super().on_mount()
        self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._lay_out()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self._lay_out()

    def look(self) -> None:
        super().look()
        self._processes.look()
        self._lay_out()

    def _lines(self) -> int:
        return super()._lines() + (self._processes.lines if self._both else 0)

    @property
    def _both(self) -> bool:
        return self.app.size.height >= BOTH

    def _lay_out(self) -> None:
        """Both tables where there is room, else the one with the focus."""
        both, processes = self._both, self._processes
        chosen = processes.has_focus_within
        processes.display = both or chosen
        for each in (self.query_one(Caption), self.query_one(SiteTable)):
            each.display = both or not chosen
        lines = min(processes.lines, self.app.size.height // SHARE)
        processes.styles.height = max(lines, FEWEST) if both else "1fr"

    def action_processes(self) -> None:
        """Goes to the processes, or back to the sites."""
        processes, sites = self._processes, self.query_one(SiteTable)
        if processes.has_focus_within:
            sites.display = True
            sites.focus()
        else:
            processes.display = True
            processes.enter()

    def action_filter(self) -> None:
        """Of the list that has the focus."""
        if self._processes.has_focus_within:
            self._processes.filter()
        else:
            super().action_filter()

    def leave(self) -> None:
        """Esc: clears a filter; from the processes, goes back to the sites; from those, leaves the group."""
        processes = self._processes
        if processes.has_focus_within:
            if not processes.clear():
                self.action_processes()
        elif not self._leave_filter(clear=True) and not processes.clear():
            self.post_message(OverviewLeft())

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        if not isinstance(event.row, Member):
            return  # a site: the overview opens it
        event.stop()
        event.prevent_default()
        if event.row.state == "attached":
            self.post_message(ProcessChosen(event.row.pid))
        else:
            self.context.status(f"{event.row.pid or event.row.command}: {state(event.row)}.")

    def on_findings_panel_opened(self, event: FindingsPanel.Opened) -> None:
        """A click on a finding: opens it where it is worst."""
        if event.finding is not None and event.finding.processes:
            event.stop()
            event.prevent_default()
            self.post_message(ProcessChosen(event.finding.processes[0], event.finding.id or None))

    def _open(self, row: Row) -> None:
        """Opens a site in the process where it is worst."""
        group = self.context.group
        if group is None:
            return
        worst = max(row.sites, key=lambda site: max(group.gathered.spread(site).live.values(), default=0))
        member = group.worst(worst)
        if member is None:
            self.context.status("No process has anything of that line now.")
        else:
            self.post_message(ProcessChosen(member.pid, worst))
