"""A list of stacks and links: frames open to show their source, links lead to tasks.

Runs of library frames fold into one line, so that the user's own code stands out.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import Binding, BindingType

from taskscope import text as fmt
from taskscope.model import Frame
from taskscope.tui.line_list import LineList, cell_segments
from taskscope.tui.messages import Sent
from taskscope.tui.source_panel import GUILTY
from taskscope.tui.source_text import highlighted
from taskscope.tui.theme import palette
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from rich.segment import Segment
    from rich.style import Style

    from taskscope.tui.source_text import SourceReader

SHOWN_OF_CREATION = 3
"""Frames of libraries shown of how something was created: the one to blame is among them."""

INLINE = 7
"""Lines of source shown under an open frame."""

_FOLD_FROM = 2  # a single library frame says more than "1 library frame"


@dataclass(frozen=True, slots=True)
class Link:
    """A line that leads to ``target``, which is posted when it is selected (None: nowhere)."""

    text: str
    target: Hashable = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its frames, links and plain sentences.

    ``unfolded``: how many frames of libraries are shown before the first of the user's.
    """

    title: str
    items: Sequence[Frame | Link | str]
    unfolded: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line on the screen.  ``opens``: key of what Enter opens or closes; ``open``: whether it is open."""

    key: Hashable
    text: str
    kind: str
    frame: Frame | None = None
    link: Link | None = None
    opens: Hashable = None
    open: bool = False
    number: int = 0


class StackPanel(LineList[Line]):
    """Sections of frames and links; Enter opens a frame's source or a fold, or follows a link."""

    DEFAULT_CSS = "StackPanel { border-top: solid $border; border-title-color: $text-muted; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "open(True)", "Open", show=False),
        Binding("h,left", "open(False)", "Close", show=False),
    ]

    class LinkSelected(Sent["StackPanel"]):
        """The user selected a link."""

        def __init__(self, panel: StackPanel, target: Any) -> None:
            super().__init__(panel)
            self.target = target

    def __init__(
        self, reader: SourceReader, *, inline: bool = True, empty: str = "", id: str | None = None
    ) -> None:
        """``inline``: the first frame of the user's code starts with its source open."""
        super().__init__(lambda line: line.key, empty=empty, id=id)
        self._reader = reader
        self._inline = inline
        self._sections: Sequence[Section] = ()
        self._toggled: set[Hashable] = set()
        self._auto: Hashable = None

    def show_sections(self, sections: Sequence[Section]) -> None:
        """Replaces the sections; open frames and folds stay open."""
        self._sections = sections
        self._auto = None
        self._rebuild()

    def not_shown(self) -> list[tuple[str, str]]:
        """The line in full; for a frame, the file with its directory."""
        line, room = self.cursor_row, self.scrollable_content_region.width - 3
        if line is None or line.kind in ("heading", "code"):
            return []
        if line.kind == "frame" and line.frame is not None:
            whole = f"{line.frame.file}:{line.frame.line} {line.frame.function}"
            return [("", whole)] if len(whole) > room else []
        return [("", line.text)] if cell_len(line.text) > room else []

    def forget(self) -> None:
        """Closes everything, for a new subject."""
        self._toggled.clear()

    @property
    def frame(self) -> Frame | None:
        """The frame under the cursor, else the first in user code."""
        line = self.cursor_row
        if line is not None and line.frame is not None:
            return line.frame
        frames = [item for section in self._sections for item in section.items if isinstance(item, Frame)]
        return next((frame for frame in frames if frame.origin == "user"), frames[0] if frames else None)

    def as_text(self) -> str:
        """All sections, unfolded, as plain text (for the clipboard)."""
        lines = []
        for section in self._sections:
            lines.append(f"{section.title}:")
            for item in section.items:
                if isinstance(item, Frame):
                    lines.append(f'  File "{item.file}", line {item.line}, in {item.function}')
                else:
                    lines.append(f"  {item.text if isinstance(item, Link) else item}")
        return "\n".join(lines) + "\n"

    # -- lines

    def _rebuild(self) -> None:
        self.show(
            [line for number, section in enumerate(self._sections) for line in self._lines(number, section)]
        )

    def _lines(self, number: int, section: Section) -> Iterator[Line]:
        yield Line((number, "heading"), section.title, "heading")
        seen: dict[Frame, int] = {}
        run: list[Frame] = []
        unfolded = section.unfolded
        for item in section.items:
            if isinstance(item, Frame) and item.origin != "user":
                run.append(item)
                continue
            yield from self._run(number, run, seen, unfolded)
            run, unfolded = [], 0
            if isinstance(item, Frame):
                yield from self._frame(number, item, seen)
            elif isinstance(item, Link):
                yield Line((number, "link", item.target, item.text), item.text, "link", link=item)
            else:
                yield Line((number, "note", item), item, "note")
        yield from self._run(number, run, seen, unfolded)

    def _run(self, number: int, run: list[Frame], seen: dict[Frame, int], unfolded: int) -> Iterator[Line]:
        """A run of library frames: folded, but for the first so many outside the standard library."""
        first = next((at for at, frame in enumerate(run) if frame.origin != "stdlib"), 0) if unfolded else 0
        yield from self._fold(number, run[:first], seen)
        for frame in run[first : first + unfolded]:
            yield from self._frame(number, frame, seen)
        yield from self._fold(number, run[first + unfolded :], seen)

    def _fold(self, number: int, run: list[Frame], seen: dict[Frame, int]) -> Iterator[Line]:
        """Folded, unless short or opened."""
        if len(run) >= _FOLD_FROM:
            key = (number, "fold", run[0], seen.get(run[0], 0))
            open = key in self._toggled
            text = f"{len(run)} library frames: {fmt.frame(run[0])} … {fmt.frame(run[-1])}"
            yield Line(key, text, "fold", opens=key, open=open)
            if not open:
                return
        for frame in run:
            yield from self._frame(number, frame, seen)

    def _frame(self, number: int, frame: Frame, seen: dict[Frame, int]) -> Iterator[Line]:
        seen[frame] = seen.get(frame, 0) + 1
        key = (number, frame, seen[frame])
        if self._inline and self._auto is None and frame.origin == "user":
            self._auto = key
        open = (key in self._toggled) != (key == self._auto)
        yield Line(key, fmt.frame(frame), "frame", frame=frame, opens=key, open=open)
        if open:
            yield from self._source(key, frame)

    def _source(self, key: Hashable, frame: Frame) -> Iterator[Line]:
        source = self._reader.known(frame)
        if source is None:
            yield Line((key, "wait"), "reading the source …", "note", frame=frame, opens=key)
            self.run_worker(self._load(frame), group=f"source {frame.file}:{frame.line}", exclusive=True)
            return
        if source.note:
            yield Line((key, "why"), source.note, "note", frame=frame, opens=key)
        for line in source.around(frame.line, INLINE):
            text = source.lines[line - source.first]
            yield Line((key, line), text, "code", frame=frame, opens=key, open=True, number=line)

    async def _load(self, frame: Frame) -> None:
        await self._reader.read(frame)
        self._auto = None
        self._rebuild()
        line = self.cursor_row
        if line is not None and line.frame == frame and line.kind == "frame":
            self._reveal()

    def _reveal(self) -> None:
        """Scrolls what the line under the cursor opened into view."""
        line = self.cursor_row
        if line is None or not line.open or not self.has_focus:
            return
        last = min(self.total - 1, self.cursor + INLINE)
        if last >= round(self.scroll_y) + self.page_lines:
            self.scroll_to(y=min(self.cursor, last - self.page_lines + 1), animate=False)

    # -- keys

    def action_select(self) -> None:
        line = self.cursor_row
        if line is None:
            return
        if line.opens is not None:
            self._toggle(line.opens)
        elif line.link is not None and line.link.target is not None:
            self.post_message(self.LinkSelected(self, line.link.target))

    def action_open(self, wanted: bool) -> None:
        line = self.cursor_row
        if line is not None and line.opens is not None and line.open != wanted:
            self._toggle(line.opens)

    def _toggle(self, key: Hashable) -> None:
        self._toggled ^= {key}
        self._auto = None
        self._rebuild()
        self.move_to_key(key)
        self._reveal()

    # -- drawing

    def row_segments(self, row: Line, width: int, style: Style) -> Sequence[Segment]:
        text = getattr(self, f"_draw_{row.kind}")(row, width)
        return list(cell_segments(text, width, "left", style, self.app.console))

    def _draw_heading(self, line: Line, width: int) -> Text:
        colours = palette(self.app.theme_variables)
        rule = "─" * max(2, min(60, width) - len(line.text) - 2)
        return Text.assemble((line.text, colours.strong), " ", (rule, colours.dim))

    def _draw_frame(self, line: Line, width: int) -> Text:
        colours = palette(self.app.theme_variables)
        assert line.frame is not None
        own = line.frame.origin == "user"
        text = Text.assemble("▾ " if line.open else "▸ ", (line.text, colours.text if own else colours.dim))
        folder = str(PurePath(line.frame.file).parent)
        if not own:
            folder += f"  ({line.frame.origin})"
        if len(text) + len(folder) + 2 <= width:
            text.append(f"  {folder}", colours.dim)
        return text

    def _draw_fold(self, line: Line, width: int) -> Text:
        return Text(f"{'▾' if line.open else '▸'} {line.text}", palette(self.app.theme_variables).dim)

    def _draw_link(self, line: Line, width: int) -> Text:
        colours = palette(self.app.theme_variables)
        assert line.link is not None
        if line.link.ended:
            return Text(f"† {line.text}", colours.dim)
        leads = line.link.target is not None
        return Text(f"{'→' if leads else ' '} {line.text}", colours.accent if leads else colours.text)

    def _draw_note(self, line: Line, width: int) -> Text:
        return Text(f"  {line.text}", palette(self.app.theme_variables).dim)

    def _draw_code(self, line: Line, width: int) -> Text:
        colours = palette(self.app.theme_variables)
        assert line.frame is not None
        guilty = line.number == line.frame.line
        code = highlighted((line.text,), dark=self.app.current_theme.dark)[0].copy()
        if guilty:
            code.stylize("bold")
        mark = GUILTY if guilty else " "
        return Text.assemble((f"  {mark}{line.number:>5} ", colours.warning if guilty else colours.dim), code)
