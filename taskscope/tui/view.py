"""The frame that every view shares: header above, its own body, status line and keys below."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Footer

from taskscope.tui.banner import Banner
from taskscope.tui.header import Header
from taskscope.tui.status import StatusLine

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from taskscope.tui.context import Context


TINY = Size(60, 16)
"""Below this only the body is shown."""


class ViewScreen(Screen[None]):
    """A view of one target.

    Subclasses give ``TITLE``, ``EXPLAINS`` (what ``?`` shows: plain lines, columns and what they mean)
    and `body`.  `StoreChanged` reaches the screen in front only: draw again in `look`, which also
    runs when the view comes back to the front.
    """

    DEFAULT_CSS = "ViewScreen.-tiny { Header { display: none; } Footer { display: none; } }"
    EXPLAINS: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "back", "Back"),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def compose(self) -> ComposeResult:
        yield Header(self.context)
        yield Banner(self.context)
        yield from self.body()
        yield StatusLine(self.context)
        yield Footer(compact=True, show_command_palette=False)

    def body(self) -> ComposeResult:
        """The view's own widgets."""
        raise NotImplementedError

    def look(self) -> None:
        """Draws the store's newest state."""

    def on_store_changed(self) -> None:
        self.query_one(Header).refresh()
        self.query_one(Banner).look()
        self.look()

    def on_screen_resume(self) -> None:
        self.on_store_changed()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < TINY.width or event.size.height < TINY.height, "-tiny")

    def action_back(self) -> None:
        """Esc: first the unread error, then this view."""
        if not self.context.read():
            self.leave()

    def leave(self) -> None:
        """Back to the view before."""
        self.app.pop_screen()

    def action_explain(self) -> None:
        from taskscope.tui.help import HelpScreen

        self.app.push_screen(HelpScreen(str(self.TITLE or "help"), self.EXPLAINS))
