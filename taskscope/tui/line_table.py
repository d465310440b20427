"""A table drawn line by line; narrow terminals drop columns, and headers sort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region

from taskscope.text import UNKNOWN, shortened
from taskscope.tui.line_list import Cell, LineList, cell_segments, fit
from taskscope.tui.messages import Sent
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from rich.style import Style

__all__ = ["Cell", "Column", "LineTable"]

Row = TypeVar("Row")

WIDE_GAP, NARROW_GAP = 2, 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column.  ``width`` is its minimum width in cells; ``flex`` its share of the remaining width.

    If not all fit, the columns with the highest ``priority`` are dropped first; 0 always stays.
    ``shorten``: its text is a place in the code, which loses its classes first.
    """

    key: str
    label: str
    width: int
    flex: int = 0
    align: Literal["left", "right"] = "left"
    priority: int = 0
    sortable: bool = True
    shorten: bool = False


@dataclass(frozen=True, slots=True)
class _Slot:
    """A column that fits: ``index`` of its cell, its ``start`` on the line, and final ``width``."""

    index: int
    column: Column
    start: int
    width: int


def arrange(columns: Sequence[Column], width: int) -> tuple[_Slot, ...]:
    """The columns that fit into ``width`` cells, with their positions."""
    shown = list(enumerate(columns))
    gap = WIDE_GAP
    while _needed(shown, gap) > width:
        if gap == WIDE_GAP:
            gap = NARROW_GAP
            continue
        last = max(shown, key=lambda item: (item[1].priority, item[0]))
        if last[1].priority == 0 or len(shown) == 1:
            break
        shown.remove(last)
        gap = WIDE_GAP
    spare = max(0, width - _needed(shown, gap))
    shares = sum(column.flex for _, column in shown)
    slots: list[_Slot] = []
    start = 0
    for index, column in shown:
        extra = spare * column.flex // shares if shares else 0
        spare, shares = spare - extra, shares - column.flex
        size = max(0, min(column.width + extra, width - start))
        slots.append(_Slot(index, column, start, size))
        start += size + gap
    return tuple(slot for slot in slots if slot.width)


def _needed(shown: Sequence[tuple[int, Column]], gap: int) -> int:
    return sum(column.width for _, column in shown) + gap * (len(shown) - 1)


class LineTable(LineList[Row]):
    """A table of any number of rows; ``render_cells`` is called for visible ones only.

    ``key_of`` identifies a row for the lifetime of the table; ``render_cells`` returns a cell for every
    column, shown or not.  ``show`` sets the rows, in display order.
    """

    HEADER_LINES: ClassVar[int] = 1

    class HeaderSelected(Sent["LineTable[Any]"]):
        """A click on the header of the sortable column ``key``."""

        def __init__(self, table: LineTable[Any], key: str) -> None:
            super().__init__(table)
            self.key = key

    def __init__(
        self,
        columns: Sequence[Column],
        render_cells: Callable[[Row], Sequence[Cell]],
        key_of: Callable[[Row], Hashable],
        *,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(key_of, empty=empty, id=id, classes=classes)
        self._columns = tuple(columns)
        self._render_cells = render_cells
        self._sort = ""
        self._descending = True
        self._slots: tuple[_Slot, ...] = ()
        self._slots_width = -1
        self._lines: list[object] = []
        self._view: tuple[object, ...] = ()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Replaces the columns; ``render_cells`` must match."""
        self._columns = tuple(columns)
        self._slots_width = -1
        self.refresh()

    def show_sort(self, key: str, *, descending: bool = True) -> None:
        """Marks the column by which the caller sorts the rows."""
        if (key, descending) != (self._sort, self._descending):
            self._sort, self._descending = key, descending
            self.refresh()

    def refresh_rows(self) -> None:
        """Redraws only the lines that changed: on most ticks, a few of the visible ones."""
        top, height, width = round(self.scroll_y), self.size.height, self.size.width
        rows = [self.row_at(top + line) for line in range(height - self.HEADER_LINES)]
        before, self._lines = self._lines, [row if row is None else self._signature(row) for row in rows]
        view, self._view = self._view, (top, self.size, self.cursor, bool(self.total))
        if view != self._view or len(before) != len(rows):
            self.refresh()
            return
        for line, (old, new) in enumerate(zip(before, self._lines, strict=True), self.HEADER_LINES):
            if old != new:
                self.refresh(Region(0, line, width, 1))

    def _signature(self, row: Row) -> object:
        cells = self._render_cells(row)
        return [cell if isinstance(cell, str) else (cell.plain, cell.style, cell.spans) for cell in cells]

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Keys of the columns that fit at the current width."""
        return tuple(slot.column.key for slot in self._arranged(self.scrollable_content_region.width - 1))

    def not_shown(self) -> list[tuple[str, str]]:
        """The current row's truncated cells, then its dropped columns, as (label, text)."""
        row = self.cursor_row
        if row is None:
            return []
        slots = self._arranged(self.scrollable_content_region.width - 1)
        texts = [cell if isinstance(cell, str) else cell.plain for cell in self._render_cells(row)]
        cut = [slot.index for slot in slots if cell_len(texts[slot.index]) > slot.width]
        shown = {slot.index for slot in slots}
        hidden = [at for at, text in enumerate(texts) if at not in shown and text.strip(f" {UNKNOWN}")]
        return [(self._columns[at].label, texts[at].strip()) for at in (*cut, *hidden)]

    def _arranged(self, width: int) -> tuple[_Slot, ...]:
        if width != self._slots_width:
            self._slots, self._slots_width = arrange(self._columns, width), width
        return self._slots

    def header_clicked(self, x: int) -> None:
        for slot in self._slots:
            if slot.start <= x - 1 < slot.start + slot.width + 1 and slot.column.sortable:
                self.post_message(self.HeaderSelected(self, slot.column.key))
                return

    def header_segments(self, width: int, style: Style) -> Sequence[Segment]:
        slots = self._arranged(width)
        return self._line(slots, [self._label(slot.column) for slot in slots], width, style)

    def _label(self, column: Column) -> str:
        if column.key != self._sort:
            return column.label
        return f"{column.label}{'▾' if self._descending else '▴'}"

    def row_segments(self, row: Row, width: int, style: Style) -> Sequence[Segment]:
        slots = self._arranged(width)
        cells = self._render_cells(row)
        return self._line(slots, [cells[slot.index] for slot in slots], width, style)

    def _line(
        self, slots: Sequence[_Slot], cells: Sequence[Cell], width: int, style: Style
    ) -> Sequence[Segment]:
        console = self.app.console
        line: list[Segment] = []
        at = 0
        for slot, cell in zip(slots, cells, strict=True):
            if slot.start > at:
                line.append(Segment(" " * (slot.start - at), style))
            if slot.column.shorten and isinstance(cell, str):
                cell = shortened(cell, slot.width)  # noqa: PLW2901
            line.extend(cell_segments(cell, slot.width, slot.column.align, style, console))
            at = slot.start + slot.width
        if at < width:
            line.append(Segment(fit("", width - at), style))
        return list(Segment.simplify(line))  # fewer segments: less work for compositor and terminal
