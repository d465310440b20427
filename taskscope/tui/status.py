"""The lines above the keys: the last confirmation, and errors until they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from taskscope.tui.context import Voice


class StatusLine(Widget):
    """One line, so that nothing above it moves, or as many as an error needs."""

    DEFAULT_CSS = """
    StatusLine { height: auto; min-height: 1; max-height: 8; padding: 0 1; background: $surface; }
    """

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self.voice = voice
        self._drawn = Text()

    def on_mount(self) -> None:
        self.set_interval(1.0, self.look)
        self.look()

    def look(self) -> None:
        """Redraws if the text has changed."""
        text = self._text()
        if text != self._drawn:
            self._drawn = text
            self.refresh(layout=True)

    def render(self) -> Text:
        return self._drawn

    def _text(self) -> Text:
        colours = palette(self.app.theme_variables)
        lines = []
        if self.voice.errors:
            more = len(self.voice.errors) - 1
            hint = f"  (Esc to dismiss{f', {fmt.count(more)} more' if more else ''})"
            lines.append(Text.assemble((self.voice.unread, colours.warning), (hint, colours.dim)))
        if confirmation := self.voice.confirmation:
            lines.append(Text(confirmation, colours.text))
        return Text("\n").join(lines)
