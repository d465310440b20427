"""The first view of a group: sums above, the merged sites and the processes below."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding

from taskscope import text as fmt
from taskscope.export.members import count, state
from taskscope.model.members import Member
from taskscope.tui.charts import Charts
from taskscope.tui.current_findings import style_of
from taskscope.tui.filter_field import FilterField
from taskscope.tui.findings_panel import FindingsPanel
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.messages import ProcessChosen
from taskscope.tui.overview import EXPLAINS, Caption, OverviewScreen
from taskscope.tui.site_table import SiteTable
from taskscope.tui.theme import palette

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

SHARE = 3
"""The processes get at most one of so many lines then."""

ABOUT = """\
Several processes as one: the charts show their sums (of latencies, the worst), and each row is a
line of code with the tasks of all processes.

in         in how many processes the line has live tasks; ▲ and a pid: that one keeps far more than
           its siblings, at every moment of the last ten seconds

p goes to the processes and back.  Enter on a process opens it; Enter on a site or a finding opens it
in the process where it is worst; Esc comes back here.  A process that has ended stays listed, and
what it had stays in the charts.

"""

COLUMNS = (
    Column("pid", "pid", 7, align="right", sortable=False),
    Column("role", "role", 8, priority=5, sortable=False),
    Column("tasks", "tasks", 8, align="right", sortable=False),
    Column("threads", "threads", 7, align="right", priority=6, sortable=False),
    Column("rss", "rss", 7, align="right", priority=2, sortable=False),
    Column("cpu", "cpu", 6, align="right", priority=3, sortable=False),
    Column("latency", "loop p99", 8, align="right", priority=4, sortable=False),
    Column("findings", "findings", 9, flex=1, priority=1, sortable=False),
    Column("state", "state", 20, flex=6, sortable=False),
)

_ORDER = {"attached": 0, "found": 1, "refused": 2, "ended": 3, "helper": 4}


class GroupTable(SiteTable):
    """The merged sites, with a column that says in which processes they are."""

    def _columns_now(self) -> Sequence[Column]:
        columns = [
            replace(each, priority=each.priority + (each.key == "median")) for each in super()._columns_now()
        ]
        columns.insert(-2, Column("in", "in", 8, priority=1, sortable=False))
        return columns

    def _read_row(self, row: Row, colours: Palette) -> list[Cell]:
        cells = super()._read_row(row, colours)
        cells.insert(-2, self._in(row, colours))
        return cells

    def _in(self, row: Row, colours: Palette) -> Cell:
        group = self.context.group
        spreads = [group.gathered.spread(site) for site in row.sites] if group is not None else []
        finding = self.context.store.findings.alarming(row.sites)
        return spelt(spreads, colours.text if finding is None else style_of(finding, colours))


def spelt(spreads: Sequence[Spread], style: Style) -> Cell:
    """``4/4``, or the outlier, which is no fault by itself."""
    far = sorted({pid for each in spreads for pid in each.outliers})
    if far:
        return Text(f"▲{far[0]}" + f"+{len(far) - 1}" * (len(far) > 1), style)
    here = {pid for each in spreads for pid, live in each.live.items() if live}
    return f"{len(here)}/{max((each.of for each in spreads), default=0)}"


class ProcessTable(LineTable[Member]):
    """The processes of the group: those that live first, then those that have ended, latest first."""

    DEFAULT_CSS = "ProcessTable { height: 1fr; }"

    def __init__(self, context: Context) -> None:
        self.context = context
        super().__init__(COLUMNS, self._cells, lambda each: (each.pid, each.began), empty="No process yet.")

    def look(self) -> None:
        """Shows how they are now."""
        group = self.context.group
        every = [each for each in group.members() if each.state != "helper"] if group is not None else []
        every.sort(key=lambda each: (_ORDER[each.state], -(each.ended or 0.0), each.pid))
        self.show(every)

    def _cells(self, member: Member) -> Sequence[Cell]:
        colours = palette(self.app.theme_variables)
        live = member.state == "attached"
        alarm = any(level != "suspect" for level in member.levels)
        style = colours.alarm if alarm else colours.warning if member.levels else colours.dim
        odd = colours.warning if member.odd or member.state == "refused" else colours.dim
        return (
            str(member.pid or fmt.UNKNOWN),
            Text(member.role, colours.dim),
            fmt.count(member.tasks),
            fmt.count(member.threads),
            fmt.bytes(member.rss),
            fmt.percent(member.cpu),
            fmt.latency(member.loop_latency),
            Text(fmt.levels(member.levels) if live or member.state == "ended" else fmt.UNKNOWN, style),
            Text(state(member), colours.text if live and not member.odd else odd),
        )


class GroupScreen(OverviewScreen):
    """Charts, findings, the merged sites, the processes."""

    TITLE = "Group"
    EXPLAINS = ABOUT + EXPLAINS
    DEFAULT_CSS = """
    GroupScreen {
        SiteTable { height: 1fr; }
        ProcessTable.-below { border-top: solid $border; }
        &.-tiny { Charts, FindingsPanel, Caption { display: none; } }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "processes", "Processes")]

    def body(self) -> ComposeResult:
        yield Charts(self.context)
        yield FindingsPanel(self.context)
        yield Caption()
        yield GroupTable(self.context)
        yield ProcessTable(self.context)
        yield FilterField("site, file or coroutine")

    @property
    def _processes(self) -> ProcessTable:
        return self.query_one(ProcessTable)

    def on_mount(self) -> None:
        super().on_mount()
        self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._lay_out()

    def look(self) -> None:
        super().look()
        self._processes.look()
        self._lay_out()

    def _lines(self) -> int:
        return super()._lines() + (len(self._processes.rows) + 2 if self._both else 0)

    @property
    def _both(self) -> bool:
        return self.app.size.height >= BOTH

    def _caption(self, shown: int, total: int) -> None:
        group, alone = self.context.group, not self.query_one(SiteTable).display
        if alone and group is not None:
            self.query_one(Caption).say(count(group.members(), group.left))
        else:
            super()._caption(shown, total)

    def _lay_out(self) -> None:
        """Both tables where there is room, else the one with the focus."""
        both, processes = self._both, self._processes
        chosen = processes.has_focus
        processes.display = both or chosen
        self.query_one(SiteTable).display = both or not chosen
        lines = min(len(processes.rows) + 2, self.app.size.height // SHARE)
        processes.styles.height = max(lines, 4) if both else "1fr"
        processes.set_class(both, "-below")

    def action_processes(self) -> None:
        """Goes to the processes, or back to the sites."""
        table, sites = self._processes, self.query_one(SiteTable)
        to = sites if table.has_focus else table
        to.display = True
        to.focus()
        self.call_after_refresh(self.look)

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
