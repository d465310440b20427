"""The bottom line: what the last action did, and what went wrong until it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from taskscope.tui.context import Voice


class StatusLine(Widget):
    """One line.  Empty when there is nothing to say, so that nothing below or above it moves."""

    DEFAULT_CSS = "StatusLine { height: 1; background: $surface; }"

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self.voice = voice
        self._drawn = ""

    def on_mount(self) -> None:
        self.set_interval(1.0, self._forget)

    def _forget(self) -> None:
        if self._drawn != self.voice.confirmation:
            self.refresh()

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        self._drawn = self.voice.confirmation
        line = Text(no_wrap=True, overflow="ellipsis")
        if self.voice.unread:
            line.append(f" {self.voice.unread}", colours.warning)
            line.append("  (Esc: read)", colours.dim)
        if self._drawn:
            line.append(f" {self._drawn}", colours.text)
        return line
