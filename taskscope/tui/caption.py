"""The line above a table: what it lists, how many of them, and in which order."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from taskscope.tui.theme import palette


class Caption(Widget):
    """``say`` sets its parts; a rule fills the rest."""

    DEFAULT_CSS = "Caption { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._parts: tuple[str, ...] = ()

    def say(self, *parts: str) -> None:
        if parts != self._parts:
            self._parts = parts
            self.refresh()

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        text = Text("── ", colours.border, no_wrap=True, overflow="ellipsis")
        text.append_text(Text(" · ", colours.border).join([Text(part, colours.text) for part in self._parts]))
        return text.append(" " + "─" * max(0, self.size.width - text.cell_len - 1))
