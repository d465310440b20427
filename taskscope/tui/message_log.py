"""The log of messages from the bottom of the screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from taskscope.tui.theme import palette

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from taskscope.tui.context import Said


class MessageLog(ModalScreen[None]):
    """All messages in full, with their times, newest first."""

    DEFAULT_CSS = """
    MessageLog { align: center bottom; }
    MessageLog > VerticalScroll {
        width: 100%; height: auto; max-height: 80%;
        border: round $primary; padding: 0 1; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape,M,q", "dismiss", "Close")]

    def __init__(self, said: Iterable[Said]) -> None:
        super().__init__()
        self._said = list(said)

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_title = "messages"
            scroll.border_subtitle = "Esc closes"
            yield Static(self._table())

    def _table(self) -> Table | Text:
        colours = palette(self.app.theme_variables)
        if not self._said:
            return Text("No messages yet.", colours.dim)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column()
        for each in reversed(self._said):
            at = time.strftime("%H:%M:%S", time.localtime(each.at))
            style = colours.warning if each.error else colours.text
            table.add_row(Text(at, colours.dim), Text(each.text, style))
        return table
