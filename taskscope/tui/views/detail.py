"""What the views share that ask the source for details: refreshing, progress, editor, clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from taskscope.sources.base import SourceError
from taskscope.tui.editor import EditorError, edit
from taskscope.tui.line_table import LineTable
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
"""Seconds after which a wait is shown."""

LONG_PATIENCE = 3.0
"""The same for refreshes in the background, while there is something to look at."""

GENTLE = 4.0
"""A refresh follows no sooner than this many times what the one before took: few details need a walk
over all tasks, and with 300,000 of them that must not go on all the time.
"""


class Subject(Widget):
    """The line that says what one looks at, and on its right what is going on."""

    DEFAULT_CSS = "Subject { height: 1; background: $panel; text-wrap: nowrap; }"

    def __init__(self) -> None:
        super().__init__()
        self._parts: Sequence[str] = ()
        self._note = ""

    def show(self, *parts: str) -> None:
        """The most telling part first; the last ones go when the line is too narrow."""
        if parts != self._parts:
            self._parts = parts
            self.refresh()

    def note(self, note: str) -> None:
        """What is going on: a wait, an end, the reason why nothing more comes."""
        if note != self._note:
            self._note = note
            self.refresh()

    @property
    def text(self) -> str:
        """What the line says."""
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
    """A view whose data is asked for when it opens, and again every second while it is looked at.

    Subclasses give `load`.  What was loaded stays on the screen when the target ends.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit"),
        Binding("y", "copy", "Copy"),
        Binding("r", "reload", "Reload", show=False),
    ]

    EVERY: ClassVar[float] = 1.0
    """Seconds between two refreshes."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.reader = SourceReader(context)
        self.subject = Subject()
        self._loading: Worker[None] | None = None
        self._due = float("-inf")
        self._loaded = False

    def on_mount(self) -> None:
        self.reload()

    async def load(self) -> None:
        """Asks for what the view shows and shows it.  May raise SourceError."""
        raise NotImplementedError

    def failed(self, problem: SourceError) -> str:
        """``load`` raised: what to say beside the subject."""
        return str(problem)

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
            table.refresh_rows()  # ages go on between two answers
        if self.context.clock() >= self._due and self.context.source.live and not store.paused:
            self.reload()

    def reload(self, *, anew: bool = False) -> None:
        """Asks again, unless an answer is still awaited (a slow target is not asked twice at once).

        ``anew``: another question is asked now, the answer to the one before is not wanted any more.
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
            self._due = asked + max(self.EVERY, GENTLE * took)

    def patience(self, message: str, seconds: float = PATIENCE) -> Timer:
        """Shows ``message`` unless stopped soon: every longer wait is seen."""
        return self.set_timer(seconds, lambda: self.subject.note(message))

    # -- keys

    def action_reload(self) -> None:
        self.reload()

    def action_edit(self) -> None:
        frame = self.frame
        if frame is None:
            self.context.error("Nothing to edit: no line of code is selected")
            return
        try:
            edit(self.app, frame)
        except EditorError as problem:
            self.context.error(f"Not edited: {problem}")
        else:
            self.context.status(f"Edited {frame.file}:{frame.line}")

    def action_copy(self) -> None:
        text = self.as_text()
        if not text:
            self.context.error("Nothing to copy here")
            return
        self.app.copy_to_clipboard(text)
        lines = text.count("\n") or 1
        self.context.status(f"Copied {lines} lines (by OSC 52; the terminal must allow it)")
