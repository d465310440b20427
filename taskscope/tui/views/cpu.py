"""Who uses the CPU: by site, hottest lines, a flame graph.  Sampled only while this view is in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content

from taskscope import text as fmt
from taskscope.analysis.cpu import CpuProfile, Work, folded
from taskscope.model import requests
from taskscope.tui.flame import Flame
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.theme import palette
from taskscope.tui.views.detail import DetailScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from taskscope.analysis.cpu import Call, Key
    from taskscope.model import Frame
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList

BUSY = 0.5
"""Share of a core from which a row stands out."""

COLUMNS = (
    Column("core", "of a core", 9, align="right", sortable=False),
    Column("share", "of all", 7, align="right", sortable=False),
    Column("what", "site, callback or thread", 26, flex=2, sortable=False, shorten=True),
    Column("coroutine", "coroutine", 14, flex=1, sortable=False, priority=2, shorten=True),
    Column("line", "hottest line", 22, flex=2, sortable=False, priority=1, shorten=True),
)

EXPLAINS = """\
Which code uses the CPU.  The agent samples all stacks while this view
is in front, 50 times a second, and not otherwise; the title line says
what that costs.  Shown: the last half minute.

of a core  CPU time per second; of all: its share of what was seen
site       the line that started the tasks.  A callback that belongs
           to no task is named by its function, a thread by its name;
           (event loop): the loop itself
hottest    the user's line (else the library's) that used most of it

The flame graph: what runs on top, what it calls below, as wide as the
CPU it uses.  tab moves there, arrows move between its boxes, Enter or
a second click enlarges one, backspace reverses that; Enter on a row
shows only that row, Esc all again.  Boxes of the user's code are
strongest, of Python's own palest.

Each thread is charged what the kernel says it used since the look
before.  Code that often gives up the GIL (sockets, files, sleeps) is
found at such lines more often than elsewhere.  Tasks on uvloop are
not told apart from their thread.

y copies the stacks in folded form, for other flame graph tools."""


class CpuScreen(DetailScreen):
    """CPU by site, and by call."""

    TITLE = "CPU"
    EXPLAINS = EXPLAINS
    READS = "sample the CPU"
    GENTLE: ClassVar[float] = 1.0
    DEFAULT_CSS = "CpuScreen { LineTable { height: 40%; } Flame { height: 1fr; } }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v,tab", "next_panel", "Table, graph"),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._profile = CpuProfile()
        self._only: Key | None = None

    def body(self) -> ComposeResult:
        yield self.subject
        yield LineTable[Work](COLUMNS, self._cells, lambda row: row.key, empty="Sampling …")
        yield Flame(self._label)

    def on_mount(self) -> None:
        self._table.focus()

    @property
    def _table(self) -> LineTable[Work]:
        return self.query_one(LineTable)

    async def load(self) -> None:
        self._profile.add(await self.context.source.ask(requests.Cpu()))
        self._draw()

    def _draw(self) -> None:
        profile = self._profile
        parts = [f"CPU {fmt.percent(profile.used)} of a core", f"sampling costs {fmt.percent(profile.cost)}"]
        if profile.elsewhere >= 0.02:
            parts.append(f"{fmt.percent(profile.elsewhere)} in native threads")
        parts.append(f"{fmt.count(profile.looks)} looks in {fmt.age(profile.seconds)}")
        self.subject.show(*parts)
        self._table.show_empty("Nothing used the CPU while it was sampled.")
        self._table.show(profile.work())
        self._draw_flame()

    def _draw_flame(self) -> None:
        flame = self.query_one(Flame)
        if all(each.key != self._only for each in self._table.rows):
            self._only = None
        flame.show(self._profile.tree(self._only))

    # -- wording

    def _named(self, key: Key) -> str:
        site, work, thread = key
        row = self.context.store.site(site) if site else None
        if row is not None:
            return row.lines
        return work or f"{fmt.THREAD} {self._profile.names().get(thread, thread)}"

    def _label(self, call: Call) -> str:
        if call.key is not None:
            return f"{self._named(call.key)}  {call.key[1] if call.key[0] else ''}".rstrip()
        return call.frame.function if call.frame is not None else call.name

    def _cells(self, row: Work) -> Sequence[Cell]:
        core = row.seconds / max(self._profile.seconds, 1e-9)
        seen = sum(each.seconds for each in self._table.rows)
        share = row.seconds / seen if seen else 0.0
        colours = palette(self.app.theme_variables)
        return (
            Text(fmt.percent(core), colours.strong + colours.warning) if core >= BUSY else fmt.percent(core),
            fmt.percent(share),
            self._named(row.key),
            row.key[1] if row.key[0] else "",
            fmt.frame(row.line),
        )

    # -- keys

    @property
    def frame(self) -> Frame | None:
        """Of the selected box, or of the current row."""
        if self.focused is not self._table:
            call = self.query_one(Flame).selected
            return call.frame if call is not None else None
        row = self._table.cursor_row
        return row.line if row is not None else None

    def as_text(self) -> str:
        tree = self._profile.tree(self._only)
        for call in tree.calls.values():
            call.name = self._label(call)
        return "\n".join(folded(tree))

    def action_next_panel(self) -> None:
        (self.query_one(Flame) if self.focused is self._table else self._table).focus()

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        row = self._table.cursor_row
        if row is not None:
            self._only = None if row.key == self._only else row.key
            self._draw_flame()

    def on_flame_moved(self, event: Flame.Moved) -> None:
        event.stop()
        flame = self.query_one(Flame)
        call, seconds = flame.selected, max(self._profile.seconds, 1e-9)
        of = "this row only" if self._only is not None else "all calls"
        if call is None:
            flame.border_title = Content(of)
            return
        where = f"{fmt.frame(call.frame)}, " if call.frame is not None else f"{self._label(call)}, "
        own = f", {fmt.percent(call.own / seconds)} itself" if call.own and call.frame is not None else ""
        share = fmt.percent(call.seconds / seconds)
        flame.border_title = Content(f"{where}{share} of a core{own} · {of}")

    def leave(self) -> None:
        """Esc: shows the whole graph again, then goes back to the table, then to the previous view."""
        flame = self.query_one(Flame)
        if flame.zoomed:
            flame.action_unzoom()
        elif self._only is not None:
            self._only = None
            self._draw_flame()
        elif flame.has_focus:
            self._table.focus()
        else:
            super().leave()
