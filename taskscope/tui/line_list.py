"""Base of table and tree: cursor, scrolling, keys, mouse and empty state of a list drawn line by line.

Only visible lines are rendered, so 300,000 rows cost what 30 cost.  The cursor belongs to a row, by its key,
not to a line number: it follows its row when rows move.  Until the user moves it, it stays on the top line.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from taskscope.tui.messages import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from rich.console import Console
    from textual import events

Row = TypeVar("Row")
Cell = str | Text

CURSOR, UNFOCUSED = "▌", "▏"
"""Mark the current line by shape, not by colour alone, with and without focus."""

LOADING = "·"


def fit(text: str, width: int, align: str = "left") -> str:
    """``text`` in exactly ``width`` cells, with an ellipsis if it was cut."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size("…", width)
    padding = " " * (width - length)
    return padding + text if align == "right" else text + padding


def cell_segments(cell: Cell, width: int, align: str, style: Style, console: Console) -> Iterable[Segment]:
    """``cell`` in exactly ``width`` cells."""
    if isinstance(cell, str):
        return (Segment(fit(cell, width, align), style),)
    if not cell.spans and isinstance(cell.style, Style):  # a single style needs no layout
        return (Segment(fit(cell.plain, width, align), style + cell.style),)
    text = cell.copy()
    text.no_wrap = True
    text.end = ""
    if align == "right":
        text.align("right", width)
    text.truncate(width, overflow="ellipsis", pad=True)
    return Segment.apply_style(text.render(console), style)


class LineList(ScrollView, Generic[Row], can_focus=True):
    """Base of lists drawn line by line; subclasses implement ``row_segments``."""

    DEFAULT_CSS = """
    LineList {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .line-list--cursor { background: $surface-lighten-2; text-style: bold; }
        &:focus > .line-list--cursor { background: $primary 45%; text-style: bold; }
        & > .line-list--header { text-style: bold; color: $text-muted; }
        & > .line-list--empty { color: $text-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-list--cursor", "line-list--header", "line-list--empty"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("g,home", "first", "First", show=False),
        Binding("G,end", "last", "Last", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
        Binding("enter", "select", "Open"),
    ]
    HEADER_LINES: ClassVar[int] = 0

    class ListMessage(Sent["LineList[Any]"]):
        """A message about one row."""

        def __init__(self, list: LineList[Any], key: Hashable, row: Any) -> None:
            super().__init__(list)
            self.key = key
            self.row = row

    class RowHighlighted(ListMessage):
        """The cursor moved to another row."""

    class RowSelected(ListMessage):
        """Enter, or a click on the current row."""

    class RowsWanted(Sent["LineList[Any]"]):
        """Lines that are not loaded came into view: ``first`` and ``count`` of them."""

        def __init__(self, list: LineList[Any], first: int, count: int) -> None:
            super().__init__(list)
            self.first = first
            self.count = count

    def __init__(
        self,
        key_of: Callable[[Row], Hashable],
        *,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._key_of = key_of
        self._empty = empty
        self._rows: Sequence[Row] = ()
        self._first = 0
        self._total = 0
        self._cursor = 0
        self._key: Hashable = None
        self._moved = False
        self._base: Style | None = None

    # -- rows

    def show(self, rows: Sequence[Row], *, first: int = 0, total: int | None = None) -> None:
        """Shows ``rows``, in this order.

        With ``total``, they are a page from index ``first`` of a list of that many rows; ``RowsWanted``
        requests missing ones when they come into view.
        """
        self._rows, self._first = rows, first
        self._total = max(first + len(rows), total or 0)
        self._resize()
        self._follow_cursor()
        self.refresh_rows()
        self._want()

    def refresh_rows(self) -> None:
        """Redraws the rows."""
        self.refresh()

    def show_empty(self, reason: str) -> None:
        """Sets the text for an empty list: why it is empty, and what to do."""
        if reason != self._empty:
            self._empty = reason
            self.refresh()

    @property
    def rows(self) -> Sequence[Row]:
        """The loaded rows, in order."""
        return self._rows

    @property
    def total(self) -> int:
        """How many rows there are, loaded or not."""
        return self._total

    @property
    def cursor(self) -> int:
        """Index of the current row."""
        return self._cursor

    @property
    def cursor_key(self) -> Hashable:
        """Key of the current row; None if there is none."""
        return self._key

    @property
    def cursor_row(self) -> Row | None:
        """The current row as last shown; None if there is none or it is not loaded."""
        return self.row_at(self._cursor)

    @property
    def page_lines(self) -> int:
        """Rows that fit on the screen."""
        return max(1, self.scrollable_content_region.height - self.HEADER_LINES)

    def not_shown(self) -> list[tuple[str, str]]:
        """What the current row has no room for, as (label or "", text)."""
        return []

    def row_at(self, index: int) -> Row | None:
        """The row at ``index``; None if it is not loaded."""
        position = index - self._first
        return self._rows[position] if 0 <= position < len(self._rows) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "select" or bool(self._total)

    def _resize(self) -> None:
        size = Size(0, self._total + self.HEADER_LINES if self._total else 0)
        if size != self.virtual_size:
            self.virtual_size = size
            self.refresh_bindings()

    def _follow_cursor(self) -> None:
        """Moves the cursor with its row.  Costs a scan of the loaded rows if the row has moved."""
        if not self._total:
            self._cursor = 0
            self._highlight()
            return
        before = self._cursor
        after = self._index_of(self._key) if self._moved and self._key is not None else None
        if after is None:  # ended, or not loaded: keep the cursor's line
            after = min(before, self._total - 1)
        self._cursor = after
        top, lines = round(self.scroll_y), self.page_lines
        in_view = top <= before < top + lines
        if in_view and after != before and not (top == 0 and after < lines):
            self.scroll_to(y=top + after - before, animate=False)
        self._highlight()

    def _index_of(self, key: Hashable) -> int | None:
        key_of = self._key_of
        row = self.row_at(self._cursor)
        if row is not None and key_of(row) == key:
            return self._cursor
        for position, row in enumerate(self._rows):
            if key_of(row) == key:
                return self._first + position
        return None

    def _highlight(self) -> None:
        row = self.row_at(self._cursor)
        if row is None and self._total:
            return  # not loaded yet: reported once it is
        key = None if row is None else self._key_of(row)
        if key != self._key:
            self._key = key
            if row is not None:
                self.post_message(self.RowHighlighted(self, key, row))

    def _want(self) -> None:
        if len(self._rows) == self._total:
            return
        top = round(self.scroll_y)
        last = min(self._total, top + self.page_lines)
        if top < self._first or last > self._first + len(self._rows):
            self.post_message(self.RowsWanted(self, top, last - top))

    # -- cursor

    def move_to(self, index: int, *, scroll: bool = True) -> None:
        """Puts the cursor on the row at ``index`` (clamped) and brings it into view."""
        if not self._total:
            return
        self._moved = True
        self._cursor = min(max(index, 0), self._total - 1)
        if self.row_at(self._cursor) is None:
            self._key = None  # set once the row is loaded
        self._highlight()
        if scroll:
            self._bring_into_view()
        self.refresh()

    def move_to_key(self, key: Hashable) -> bool:
        """Puts the cursor on the row with ``key``; False if it is not among the loaded ones."""
        index = self._index_of(key)
        if index is not None:
            self.move_to(index)
        return index is not None

    def _bring_into_view(self) -> None:
        top, lines = round(self.scroll_y), self.page_lines
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + lines:
            self.scroll_to(y=self._cursor - lines + 1, animate=False)

    def action_move(self, lines: int) -> None:
        self.move_to(self._cursor + lines)

    def action_page(self, pages: int) -> None:
        self.move_to(self._cursor + pages * self.page_lines)

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(self._total - 1)

    def action_select(self) -> None:
        row = self.cursor_row
        if row is not None:
            self.post_message(self.RowSelected(self, self._key_of(row), row))

    # -- events

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._want()

    def on_resize(self) -> None:
        self._bring_into_view()
        self._want()

    async def _on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        if offset.y < self.HEADER_LINES:
            self.header_clicked(offset.x)
            return
        index = round(self.scroll_y) + offset.y - self.HEADER_LINES
        if index >= self._total:
            return
        if index == self._cursor:
            self.action_select()
        else:
            self.move_to(index)

    def header_clicked(self, x: int) -> None:
        """A click on the header, ``x`` cells from the left."""

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        base = self._base_style()
        if y < self.HEADER_LINES:
            style = base + self.get_component_rich_style("line-list--header", partial=True)
            return Strip([Segment(" ", style), *self.header_segments(width - 1, style)], width)
        if not self._total:
            return self._empty_line(y - self.HEADER_LINES, width, base)
        index = round(self.scroll_y) + y - self.HEADER_LINES
        if index >= self._total:
            return Strip.blank(width, base)
        return self._row_line(index, width, base)

    def _base_style(self) -> Style:
        """The widget's own style, cached: every line needs it, and computing it visits all ancestors."""
        if self._base is None:
            self._base = self.rich_style
        return self._base

    def notify_style_update(self) -> None:
        self._base = None
        super().notify_style_update()

    def _row_line(self, index: int, width: int, base: Style) -> Strip:
        current = index == self._cursor
        if current:
            base += self._cursor_style()
        mark = CURSOR if self.has_focus else UNFOCUSED
        gutter = Segment(mark if current else " ", base)
        row = self.row_at(index)
        if row is None:
            return Strip([gutter, Segment(fit(LOADING, width - 1), base + self.muted)], width)
        return Strip([gutter, *self.row_segments(row, width - 1, base)], width)

    def _cursor_style(self) -> Style:
        """Blends the half-transparent cursor colour, which Textual omits from a component's Rich style."""
        cursor = self.get_component_styles("line-list--cursor")
        back = self.background_colors[1] + cursor.background
        return Style(bgcolor=back.rich_color, bold=True)

    def _empty_line(self, y: int, width: int, base: Style) -> Strip:
        lines = textwrap.wrap(self._empty, max(10, width - 4))
        text = "  " + lines[y - 1] if 1 <= y <= len(lines) else ""
        return Strip([Segment(fit(text, width), base + self.muted)], width)

    @property
    def muted(self) -> Style:
        return self.get_component_rich_style("line-list--empty", partial=True)

    def row_segments(self, row: Row, width: int, style: Style) -> Sequence[Segment]:
        """The line of ``row``: segments that fill exactly ``width`` cells."""
        raise NotImplementedError

    def header_segments(self, width: int, style: Style) -> Sequence[Segment]:
        """The header line, if ``HEADER_LINES`` is not 0."""
        raise NotImplementedError
