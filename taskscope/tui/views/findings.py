"""All findings, worst first: leaks, suspects, notes and dismissed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from taskscope import text as fmt
from taskscope.model import Finding
from taskscope.tui import current_findings as found
from taskscope.tui.evidence import EvidencePanel
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.messages import ProcessChosen
from taskscope.tui.theme import palette
from taskscope.tui.view import ViewScreen
from taskscope.tui.views import finding_screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

_COLUMNS = (
    Column("level", "", 9, sortable=False),
    Column("site", "site", 28, flex=2, sortable=False, shorten=True),
    Column("rate", "Δ/min", 8, align="right", sortable=False),
    Column("live", "live", 7, align="right", sortable=False, priority=2),
    Column("since", "since", 12, sortable=False, priority=1),
    Column("ahead", "runs out", 12, sortable=False, priority=4),
    Column("cause", "cause", 18, flex=4, sortable=False, priority=3),
)

EXPLAINS = """\
Findings, worst first.  The lower panel shows the evidence for the
one under the cursor.

HANG      tasks or threads that wait for each other, or for something
          that is gone
SPIN      a loop runs the same callback in every iteration, for
          something that has ended, and never sleeps
LEAK      grows for longer than start-up explains and keeps what it
          gains, or its tasks show why they never end; also chains
          of tasks that renew themselves and grow in number
SUSPECT   grows, but it is too early to judge, or some of it ends;
          code that asks in every iteration and changes nothing
info      worth knowing, not a fault: long-lived but flat, stopped
          growing, a stalled loop, a saturated pool, memory or
          descriptors that grow although no task does
dismissed known and accepted: not shown on the overview

rate      live tasks gained per minute; since: when that began
runs out  time until the process reaches a limit at this rate

Enter opens the site; of timers and other resources, their list; of
what has no site (a HANG, say), its whole evidence.  4 lists stalls,
2 threads and pools.  d dismisses a finding for this target; d again
restores it.  Dismissed ones are kept in dismissed.json in your
config directory, by file, function and coroutine."""


class FindingsScreen(ViewScreen):
    """The list of findings, and the evidence for one of them below it."""

    TITLE = "Findings"
    EXPLAINS = EXPLAINS
    DEFAULT_CSS = """
    FindingsScreen {
        LineTable { height: 1fr; min-height: 4; }
        EvidencePanel { height: 2fr; border-top: solid $border; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "toggle_finding", "Dismiss"),
        Binding("f", "back", "Back", show=False),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._version = -1

    def body(self) -> ComposeResult:
        yield LineTable[Finding](_COLUMNS, self._cells, found.key_of)
        yield EvidencePanel(self.context)

    def on_mount(self) -> None:
        self.query_one(LineTable).focus()

    def look(self) -> None:
        findings = self.context.store.findings
        table: LineTable[Finding] = self.query_one(LineTable)
        if findings.version == self._version:
            return
        self._version = findings.version
        calm = found.calm(findings, self.context)
        table.show_empty(f"No findings: {calm}.")
        table.show([*findings.top, *findings.notes, *findings.hidden])
        self.query_one(EvidencePanel).show(table.cursor_row)

    def _cells(self, finding: Finding) -> Sequence[Cell]:
        colours, store = palette(self.app.theme_variables), self.context.store
        dismissed = store.findings.is_dismissed(finding)
        grows = finding.level != "info" and finding.counts
        return (
            Text("dismissed", colours.dim) if dismissed else found.badge(finding, colours),
            fmt.place(finding),
            fmt.rate_per_min(finding.rate_per_min) if grows else "",
            fmt.count(finding.live) if finding.counts else "",
            fmt.since(finding, store.sample),
            fmt.seconds(finding.projection.seconds) if finding.projection else "",
            found.cause(finding) if grows else finding.text,
        )

    def on_line_list_row_highlighted(self, event: LineList.RowHighlighted) -> None:
        event.stop()
        self.query_one(EvidencePanel).show(event.row)

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        if event.row.processes:
            self.post_message(ProcessChosen(event.row.processes[0], event.row.id or None))
        else:
            self.app.push_screen(finding_screen(self.context, event.row))

    def action_toggle_finding(self) -> None:
        self.context.dismiss(self.query_one(LineTable).cursor_row)
        self.look()


class FindingScreen(ViewScreen):
    """All evidence for one finding that has no site: the chain of a hang, say."""

    TITLE = "Finding"
    EXPLAINS = EXPLAINS

    def __init__(self, context: Context, finding: Finding) -> None:
        super().__init__(context)
        self._finding = finding

    def body(self) -> ComposeResult:
        yield EvidencePanel(self.context)

    def on_mount(self) -> None:
        self.query_one(EvidencePanel).focus()

    def look(self) -> None:
        """Shows the newest verdict; the last one stays once the finding has gone."""
        key = found.key_of(self._finding)
        every = self.context.store.findings.every
        self._finding = next((each for each in every if found.key_of(each) == key), self._finding)
        self.query_one(EvidencePanel).show(self._finding)
