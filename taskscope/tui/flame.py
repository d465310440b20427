"""A flame graph, drawn line by line: what runs on top, what it calls below, as wide as the CPU it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from taskscope.tui.line_list import CURSOR, fit
from taskscope.tui.messages import Sent
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual import events

    from taskscope.analysis.cpu import Call

EDGE = "▏"
"""Begins each box, except the selected one: its shape shows where it is, without colours too."""

SHADES = {"user": 0.5, "library": 0.3, "stdlib": 0.15}
"""How much of the accent a box has, by whose code it is."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A call as drawn: ``path`` from the root."""

    call: Call
    path: Path
    depth: int
    start: int
    width: int


class Flame(ScrollView, can_focus=True):
    """The calls below ``root``.  Arrows move between boxes; Enter makes one as wide as the screen."""

    DEFAULT_CSS = """
    Flame {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        border-top: solid $border;
        border-title-color: $text;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "deeper(1)", "Down", show=False),
        Binding("k,up", "deeper(-1)", "Up", show=False),
        Binding("l,right", "aside(1)", "Right", show=False),
        Binding("h,left", "aside(-1)", "Left", show=False),
        Binding("enter", "zoom", "Zoom"),
        Binding("backspace", "unzoom", "Zoom out", show=False),
    ]

    class Moved(Sent["Flame"]):
        """Another box is selected, or it has changed."""

    def __init__(self, label: Callable[[Call], str]) -> None:
        super().__init__()
        self._label = label
        self._root: Call | None = None
        self._zoom: Path = ()
        self._path: Path = ()
        self._boxes: list[list[Box]] = []

    def show(self, root: Call) -> None:
        """Draws another tree; what is selected and enlarged stays so, as far as it is still there."""
        self._root = root
        self._zoom = self._known(self._zoom)
        self._path = self._known(self._path)
        self._arrange()
        self.post_message(self.Moved(self))

    @property
    def selected(self) -> Call | None:
        box = self._selected()
        return box.call if box is not None else None

    @property
    def zoomed(self) -> bool:
        return bool(self._zoom)

    def _known(self, path: Path) -> Path:
        call, known = self._root, 0
        for name in path:
            call = call.calls.get(name) if call is not None else None
            if call is None:
                break
            known += 1
        return path[:known]

    def _arrange(self) -> None:
        """Places every box that is at least one cell wide."""
        self._boxes = []
        width, root = self.scrollable_content_region.width, self._root
        if root is not None and width > 0:
            call = root
            for depth, name in enumerate(self._zoom):
                call = call.calls[name]
                self._put(Box(call, self._zoom[: depth + 1], depth, 0, width))
            self._spread(call, self._zoom, len(self._zoom), 0, width)
        self.virtual_size = Size(0, len(self._boxes))
        if self._selected() is None and self._boxes:
            self._path = self._boxes[0][0].path
        self.refresh()

    def _spread(self, call: Call, path: Path, depth: int, start: int, width: int) -> None:
        if not call.seconds:
            return
        done = 0.0
        for name, inner in sorted(call.calls.items(), key=lambda each: -each[1].seconds):
            left = start + round(done / call.seconds * width)
            done += inner.seconds
            right = start + round(min(1.0, done / call.seconds) * width)
            if right > left:
                box = Box(inner, (*path, name), depth, left, right - left)
                self._put(box)
                self._spread(inner, box.path, depth + 1, left, right - left)

    def _put(self, box: Box) -> None:
        while len(self._boxes) <= box.depth:
            self._boxes.append([])
        self._boxes[box.depth].append(box)

    def _every(self) -> Iterator[Box]:
        for line in self._boxes:
            yield from line

    def _selected(self) -> Box | None:
        return next((each for each in self._every() if each.path == self._path), None)

    # -- keys and mouse

    def _select(self, box: Box | None) -> None:
        if box is None:
            return
        self._path = box.path
        top, height = round(self.scroll_y), max(1, self.scrollable_content_region.height)
        if not top <= box.depth < top + height:
            self.scroll_to(y=max(0, box.depth - height // 2), animate=False)
        self.refresh()
        self.post_message(self.Moved(self))

    def action_deeper(self, lines: int) -> None:
        box = self._selected()
        if box is None:
            return
        depth = box.depth + lines
        if 0 <= depth < len(self._boxes):
            middle = box.start + (box.width // 2 if lines < 0 else 0)
            near = [each for each in self._boxes[depth] if each.start <= middle < each.start + each.width]
            self._select(near[0] if near else None)

    def action_aside(self, boxes: int) -> None:
        box = self._selected()
        if box is not None:
            line = self._boxes[box.depth]
            self._select(line[min(max(line.index(box) + boxes, 0), len(line) - 1)])

    def action_zoom(self) -> None:
        """Makes the selected box as wide as the screen; a second time: as before."""
        self._zoom = () if self._zoom == self._path else self._path
        self._arrange()

    def action_unzoom(self) -> None:
        self._zoom = self._zoom[:-1]
        self._arrange()

    def on_resize(self) -> None:
        self._arrange()

    async def _on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        depth = round(self.scroll_y) + offset.y if offset is not None else len(self._boxes)
        if offset is None or depth >= len(self._boxes):
            return
        event.stop()
        for box in self._boxes[depth]:
            if box.start <= offset.x < box.start + box.width:
                if box.path == self._path:
                    self.action_zoom()
                else:
                    self._select(box)

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        depth = round(self.scroll_y) + y
        if depth >= len(self._boxes):
            return Strip.blank(width, base)
        line: list[Segment] = []
        at = 0
        for box in self._boxes[depth]:
            if box.start > at:
                line.append(Segment(" " * (box.start - at), base))
            edge = CURSOR if box.path == self._path else EDGE
            line.append(Segment(fit(f"{edge}{self._label(box.call)}", box.width), self._style(box, base)))
            at = box.start + box.width
        if at < width:
            line.append(Segment(" " * (width - at), base))
        return Strip(line, width)

    def _style(self, box: Box, base: Style) -> Style:
        if box.path == self._path:
            return base + Style(reverse=True, bold=True)
        origin = box.call.frame.origin if box.call.frame is not None else "user"
        accent = Color.parse(self.app.theme_variables["primary"])
        back = self.background_colors[1].blend(accent, SHADES[origin], alpha=1)
        return base + Style(bgcolor=back.rich_color, bold=box.call.key is not None)
