"""Base of all views: header above the view's body; the full row, status and keys below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.css.query import NoMatches
from textual.geometry import Size
from textual.screen import Screen

from taskscope.sources.outside.meanwhile import MeanwhileSource
from taskscope.tui.banner import Banner
from taskscope.tui.header import Header
from taskscope.tui.keys import KeyBar
from taskscope.tui.line_list import LineList
from taskscope.tui.slider import KEYS, Slider
from taskscope.tui.status import StatusLine
from taskscope.tui.whole_line import WholeLine

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.worker import Worker

    from taskscope.tui.context import Context, Voice


TINY = Size(60, 16)
"""Below this size, only the body shows."""


class ViewScreen(Screen[None]):
    """A view of one target.

    Subclasses define ``TITLE``, ``EXPLAINS`` (the help that ``?`` shows) and `body`.  Only the screen in
    front gets `StoreChanged`: redraw in `look`, which also runs when the view returns to the front.
    """

    DEFAULT_CSS = "ViewScreen.-tiny { Header { display: none; } KeyBar, WholeLine { display: none; } }"
    EXPLAINS: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "back", "Back"),
        *KEYS,
    ]

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    @property
    def voice(self) -> Voice:
        """The messages for the status line."""
        return self.context

    def compose(self) -> ComposeResult:
        yield Header(self.context)
        yield Banner(self.context)
        yield from self.body()
        yield WholeLine()
        yield Slider(self.context)
        yield StatusLine(self.context)
        yield KeyBar()

    def body(self) -> ComposeResult:
        """The view's own widgets."""
        raise NotImplementedError

    def run_worker(self, work: Any, *args: Any, **kwargs: Any) -> Worker[Any]:
        """As in every node; errors of work for a view that was closed meanwhile are ignored."""
        return super().run_worker(self._unless_left(work), *args, **kwargs)

    async def _unless_left(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except NoMatches:
            if self.app.is_running and self.is_attached and self in self.app.screen_stack:
                raise
            return None  # closed: its panels go before it does

    def look(self) -> None:
        """Redraws from the store."""

    def on_store_changed(self) -> None:
        self.query_one(Header).refresh()
        self.query_one(Banner).look()
        self.query_one(Slider).refresh()
        self.look()
        self._show_whole()

    @on(LineList.RowHighlighted)
    def _row_changed(self) -> None:
        self._show_whole()

    def on_descendant_focus(self) -> None:
        self._show_whole()

    def _show_whole(self) -> None:
        self.query_one(WholeLine).look()

    def on_screen_resume(self) -> None:
        self.on_store_changed()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < TINY.width or event.size.height < TINY.height, "-tiny")
        self.call_after_refresh(self._show_whole)

    def action_back(self) -> None:
        """Esc: dismisses an unread error, else leaves this view."""
        if not self.context.read():
            self.leave()

    def leave(self) -> None:
        """Goes back to the previous view."""
        self.app.pop_screen()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of a recording are for recordings."""
        return action != "playback" or self.context.playback is not None

    async def action_agent(self) -> None:
        """Keeps the agent out of a process that is read from outside meanwhile, or lets it in."""
        source = self.context.source
        if not isinstance(source, MeanwhileSource):
            self.context.status("This key is for a process that waits for its agent.")
        elif await source.toggle():
            self.context.status("Bringing the agent in.")
        else:
            self.context.status("The agent stays out: the process is only read.")
        self.on_store_changed()

    def action_playback(self, what: str, *given: float) -> None:
        getattr(self.context.playback, what)(*given)

    def action_explain(self) -> None:
        from taskscope.tui.help import EVERYWHERE, LIVE, RECORDING, HelpScreen

        pages = [self.EXPLAINS, EVERYWHERE]
        if self.context.source.live:
            pages.append(LIVE)
        elif self.context.playback is not None:
            pages.insert(1, RECORDING)
        self.app.push_screen(HelpScreen(str(self.TITLE or "help"), "\n\n".join(pages)))
