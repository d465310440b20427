"""The processes of a group: a table with its own caption, order and filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical

from taskscope import text as fmt
from taskscope.export.members import count, state
from taskscope.model.members import Member
from taskscope.model.vocabulary import LEVELS
from taskscope.tui.caption import Caption
from taskscope.tui.filter_field import FilterField
from taskscope.tui.line_table import Cell, Column, LineTable
from taskscope.tui.ordering import Ordering
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from taskscope.tui.context import Context

COLUMNS = (
    Column("pid", "pid", 7, align="right"),
    Column("role", "role", 8, priority=5),
    Column("tasks", "tasks", 8, align="right"),
    Column("threads", "threads", 8, align="right", priority=6),
    Column("rss", "rss", 7, align="right", priority=2),
    Column("cpu", "cpu", 6, align="right", priority=3),
    Column("latency", "loop p99", 9, align="right", priority=4),
    Column("findings", "findings", 9, flex=1, priority=1),
    Column("state", "state", 20, flex=6),
)

STATE = "state"
"""The column by which they are sorted at first: those that live, then those that have ended, latest first."""

_ORDER = {"attached": 0, "found": 1, "refused": 2, "ended": 3, "helper": 4}

_VALUES: dict[str, Callable[[Member], Any]] = {
    "pid": lambda each: each.pid,
    "role": lambda each: each.role,
    "tasks": lambda each: each.tasks,
    "threads": lambda each: each.threads,
    "rss": lambda each: each.rss,
    "cpu": lambda each: each.cpu,
    "latency": lambda each: each.loop_latency,
    "findings": lambda each: [each.levels.get(level, 0) for level in LEVELS],
    STATE: lambda each: (_ORDER[each.state], -(each.ended or 0.0), each.pid),
}

_ASCENDING = ("pid", "role", STATE)


class ProcessTable(LineTable[Member]):
    """The cursor stays on its process from the first row on."""

    DEFAULT_CSS = "ProcessTable { height: 1fr; }"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.words: Sequence[str] = ()
        """What all rows shown have in them."""
        self.sort, self.descending = STATE, False
        self.ordering: Ordering[Member] = Ordering(_key_of, lambda each, _: each.tasks or 0)
        super().__init__(COLUMNS, self._cells, _key_of)
        self.show_sort(self.sort, descending=self.descending)

    def look(self) -> None:
        """Shows how they are now."""
        group = self.context.group
        every = [each for each in group.members() if each.state != "helper"] if group is not None else []
        shown = [each for each in every if _matches(each, self.words)]
        self.show_empty("Nothing matches.  Esc clears the filter." if every else "No process yet.")
        now = self.context.clock()
        value = _VALUES[self.sort]
        self.show(self.ordering.arrange(shown, value, descending=self.descending, now=now, moment=now))
        if not self._moved:
            super().move_to(0)

    def sort_by(self, key: str) -> None:
        """Sorts by a column; once more, in the other direction."""
        self.descending = not self.descending if key == self.sort else key not in _ASCENDING
        self.sort = key
        self.show_sort(key, descending=self.descending)
        self.ordering.reset()
        self.look()

    def move_to(self, index: int, *, scroll: bool = True) -> None:
        self.ordering.touch(self.context.clock())
        super().move_to(index, scroll=scroll)

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


class Processes(Vertical):
    """Caption, table, filter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse the order", show=False),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def compose(self) -> ComposeResult:
        yield Caption()
        yield ProcessTable(self.context)
        yield FilterField("pid, command, role, finding or state")

    @property
    def table(self) -> ProcessTable:
        return self.query_one(ProcessTable)

    @property
    def lines(self) -> int:
        """Lines that show all of it."""
        return len(self.table.rows) + 2

    def enter(self) -> None:
        """Takes the focus."""
        self.table.focus()

    def look(self) -> None:
        """Shows how they are now."""
        table, group = self.table, self.context.group
        table.look()
        if group is None:
            return
        column = next(each for each in COLUMNS if each.key == table.sort)
        parts = [
            count(group.members(), group.left),
            f"by {column.label} {'▾' if table.descending else '▴'}",
        ]
        moves = table.sort not in _ASCENDING
        parts += ["order held while you navigate"] if moves and table.ordering.held else []
        parts += [f"filter: {' '.join(table.words)}"] if table.words else []
        self.query_one(Caption).say(*parts)

    def action_sort(self) -> None:
        """Sorts by the next visible column."""
        keys = self.table.shown_columns
        at = keys.index(self.table.sort) if self.table.sort in keys else -1
        self.sort_by(keys[(at + 1) % len(keys)])

    def action_reverse(self) -> None:
        self.sort_by(self.table.sort)

    def sort_by(self, key: str) -> None:
        self.table.sort_by(key)
        self.look()

    def on_line_table_header_selected(self, event: LineTable.HeaderSelected) -> None:
        event.stop()
        self.sort_by(event.key)

    def filter(self) -> None:
        """Opens the filter."""
        self.query_one(FilterField).open()

    def on_input_changed(self, event: FilterField.Changed) -> None:
        event.stop()
        self.table.words = event.value.lower().split()
        self.table.ordering.reset()
        self.look()

    def on_input_submitted(self, event: FilterField.Submitted) -> None:
        event.stop()
        self.query_one(FilterField).close(clear=False)
        self.enter()

    def clear(self) -> bool:
        """Clears the filter; returns whether there was one."""
        inside, was = self.has_focus_within, self.query_one(FilterField).close(clear=True)
        if inside:
            self.enter()
        return was


def _key_of(member: Member) -> tuple[int, float]:
    return member.pid, member.began


def _matches(member: Member, words: Sequence[str]) -> bool:
    """Whether every word occurs in what its row says."""
    found = fmt.levels(member.levels) if member.levels else ""
    parts = (member.pid, member.name, member.command, member.role, found, member.state, state(member))
    text = " ".join(map(str, parts)).lower()
    return all(word in text for word in words)
