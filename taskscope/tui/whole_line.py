"""Shows the current row's truncated cells in full, and its dropped columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from taskscope.tui.line_list import LineList
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from typing import Any


class WholeLine(Widget):
    """Hidden until a row does not fit; then it keeps its place."""

    DEFAULT_CSS = "WholeLine { height: 2; padding: 0 1; background: $panel; display: none; }"

    def __init__(self) -> None:
        super().__init__()
        self._drawn = Text()

    def look(self) -> None:
        """Redraws for the row under the cursor."""
        rows = self.screen.focused
        text = self._text(rows) if isinstance(rows, LineList) else Text()
        if text == self._drawn:
            return
        self._drawn = text
        self.display = self.display or bool(text)
        self.refresh()

    def render(self) -> Text:
        return self._drawn

    def _text(self, rows: LineList[Any]) -> Text:
        colours = palette(self.app.theme_variables)
        text, used = Text(), 0
        for label, cell in rows.not_shown():
            part = Text.assemble((f"{label} " if label else "", colours.dim), (cell, colours.text))
            if used and used + part.cell_len > self.content_size.width:
                text.append("\n")
                used = 0
            text.append_text(part).append("   ")
            used += part.cell_len + 3
        return text
