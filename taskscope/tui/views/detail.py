"""Base of the views that ask the source for details: refreshing, progress, editor, clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from taskscope import text as fmt
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.tui.editor import EditorError, edit
from taskscope.tui.line_table import LineTable
from taskscope.tui.line_tree import LineTree
from taskscope.tui.source_text import SourceReader
from taskscope.tui.theme import palette
from taskscope.tui.view import ViewScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.timer import Timer
    from textual.worker import Worker

    from taskscope.model import Frame
    from taskscope.tui.context import Context

PATIENCE = 0.5
"""Seconds to wait before showing progress."""

LONG_PATIENCE = 3.0
"""The same for background refreshes, while older data is on the screen."""


class Subject(Widget):
    """The title line of a view; its right end shows progress."""

    DEFAULT_CSS = "Subject { height: 1; background: $panel; text-wrap: nowrap; }"

    def __init__(self) -> None:
        super().__init__()
        self._parts: Sequence[str] = ()
        self._note = ""

    def show(self, *parts: str) -> None:
        """Shows the parts, most important first; a narrow line drops the last ones."""
        if parts != self._parts:
            self._parts = parts
            self.refresh()

    def note(self, note: str) -> None:
        """Shows progress, an end, or why no more data comes."""
        if note != self._note:
            self._note = note
            self.refresh()

    @property
    def text(self) -> str:
        """The text of the line."""
        return "  ".join([*self._parts, self._note])

    def render(self) -> Text:
        colours = palette(self.app.theme_variables)
        line = Text(" ", no_wrap=True, overflow="ellipsis", end="")
        note = Text(f"  {self._note} ", colours.warning) if self._note else Text()
        room = self.size.width - note.cell_len
        for number, part in enumerate(self._parts):
            piece = Text(part if not number else f"   {part}", colours.text if number else colours.strong)
            if number and line.cell_len + piece.cell_len > room:
                break
            line.append_text(piece)
        line.truncate(max(0, room), overflow="ellipsis", pad=True)
        return line.append_text(note)


class DetailScreen(ViewScreen):
    """A view that requests its data when it opens, and every second while it is in front.

    Subclasses implement `load`.  The last data stays on the screen when the target ends.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit"),
        Binding("y", "copy", "Copy"),
        Binding("r", "reload", "Reload", show=False),
    ]

    READS: ClassVar[str] = "read it"
    """What `load` does, for where that fails."""
    EVERY: ClassVar[float] = 1.0
    """Seconds between two refreshes."""
    GENTLE: ClassVar[float] = 4.0
    """The same as a multiple of the time the last one took: some details walk all tasks, which must not run
    without pause at 300,000 of them.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.reader = SourceReader(context)
        self.subject = Subject()
        self._loading: Worker[None] | None = None
        self._due = float("-inf")
        self._loaded = False
        self._moment = 0.0  # of a recording, as loaded

    def on_mount(self) -> None:
        self.reload()

    async def load(self) -> None:
        """Requests the view's data and shows it.  May raise SourceError."""
        raise NotImplementedError

    def failed(self, problem: SourceError) -> str:
        """Says below, and in the text for the title line that it returns, why ``load`` failed.

        That a source cannot tell is said once.
        """
        cannot = isinstance(problem, NotAvailable)
        for each in (*self.query(LineTable), *self.query(LineTree)):
            each.show_empty(fmt.sentence(str(problem)) if cannot else f"Could not {self.READS}: {problem}")
        return "" if cannot and not self._loaded else str(problem)

    @property
    def frame(self) -> Frame | None:
        """The line of code that ``e`` opens."""
        return None

    def as_text(self) -> str:
        """What ``y`` copies."""
        return ""

    # -- asking

    def look(self) -> None:
        store = self.context.store
        for table in self.query(LineTable):
            table.refresh_rows()  # ages grow between two answers
        playback = self.context.playback
        if playback is not None:
            if playback.source.position != self._moment:
                self._moment = playback.source.position
                self.reload(anew=True)
        elif self.context.clock() >= self._due and self.context.source.live and not store.paused:
            self.reload()

    def reload(self, *, anew: bool = False) -> None:
        """Requests the data again, unless a request is still pending.

        ``anew``: the request has changed; drops the pending one.
        """
        if anew and self._loading is not None:
            self._loading.cancel()
            self._loading = None
        if self._loading is None or self._loading.is_finished:
            self._loading = self.run_worker(self._load(), group="load")

    async def _load(self) -> None:
        waiting = "waiting for the target …" if self._loaded else "loading …"
        patience = self.patience(waiting, LONG_PATIENCE if self._loaded else PATIENCE)
        asked, note = self.context.clock(), ""
        try:
            await self.load()
            self._loaded = True
        except SourceError as problem:
            note = self.failed(problem)
        finally:
            patience.stop()
            self.subject.note(note)
            took = self.context.clock() - asked
            self._due = asked + max(self.EVERY, self.GENTLE * took)

    def patience(self, message: str, seconds: float = PATIENCE) -> Timer:
        """Shows ``message`` after a moment, unless stopped before."""
        return self.set_timer(seconds, lambda: self.subject.note(message))

    # -- keys

    def action_reload(self) -> None:
        self.reload()

    def action_edit(self) -> None:
        frame = self.frame
        if frame is None:
            self.context.error("Nothing to edit: no line of code is selected.")
            return
        try:
            edit(self.app, frame, self.context.elsewhere)
        except EditorError as problem:
            self.context.error(f"Not edited: {problem}.")
        else:
            self.context.status(f"Edited {frame.file}:{frame.line}.")

    def action_copy(self) -> None:
        text = self.as_text()
        if not text:
            self.context.error("Nothing to copy here.")
            return
        self.app.copy_to_clipboard(text)
        lines = text.count("\n") or 1
        self.context.status(f"Copied {fmt.plural(lines, 'line')} (by OSC 52, if the terminal allows it).")
