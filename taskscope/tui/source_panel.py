"""The source around a line, which is marked by a sign and not by colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from taskscope.tui.source_text import SourceText, highlighted
from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from textual import events

    from taskscope.model import Frame
    from taskscope.tui.source_text import SourceReader

GUILTY = "▶"


class SourcePanel(Widget):
    """Shows the source of one frame; the mouse wheel scrolls it."""

    DEFAULT_CSS = """
    SourcePanel {
        border-top: solid $border; border-title-color: $text-muted;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, reader: SourceReader, *, id: str | None = None, title: str = "source") -> None:
        super().__init__(id=id)
        self._reader = reader
        self._title = title
        self.frame: Frame | None = None
        self._source: SourceText | None = None
        self._scrolled = 0

    def on_mount(self) -> None:
        self.border_title = Content(self._title)

    def show(self, frame: Frame | None) -> None:
        """Shows the source around ``frame`` once it is loaded."""
        if frame == self.frame:
            return
        self.frame = frame
        self._scrolled = 0
        self._source = self._reader.known(frame) if frame else None
        self.border_title = Content(f"{self._title}  {frame.file}:{frame.line}" if frame else self._title)
        if frame is not None and self._source is None:
            self.run_worker(self._load(frame), group="source", exclusive=True)
        self.refresh()

    async def _load(self, frame: Frame) -> None:
        source = await self._reader.read(frame)
        if frame == self.frame:
            self._source = source
            self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(3, event)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(-3, event)

    def _scroll(self, lines: int, event: events.MouseEvent) -> None:
        event.stop()
        self._scrolled += lines
        self.refresh()

    def render(self) -> Text:
        if self.frame is None:
            return Text(" no source: native code, or created outside any known line")
        if self._source is None:
            return Text(" reading the source …")
        if not self._source.lines:
            return Text(f" {self._source.note}", no_wrap=False)
        return self._code(self.frame, self._source)

    def _code(self, frame: Frame, source: SourceText) -> Text:
        colours = palette(self.app.theme_variables)
        height = max(1, self.content_size.height - bool(source.note))
        lowest = source.first - frame.line
        self._scrolled = min(max(self._scrolled, lowest), lowest + len(source.lines) - 1)
        lines = highlighted(source.lines, dark=self.app.current_theme.dark)
        result = Text(no_wrap=True, overflow="ellipsis", end="")
        if source.note:
            result.append(f" {source.note}\n", colours.warning)
        for number in source.around(frame.line + self._scrolled, height):
            guilty = number == frame.line
            mark = GUILTY if guilty else " "
            result.append(f"{mark}{number:>5} ", colours.warning if guilty else colours.dim)
            code = lines[number - source.first].copy()
            if guilty:
                code.stylize("bold")
            result.append_text(code).append("\n")
        result.right_crop(1)
        return result
