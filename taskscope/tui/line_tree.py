"""A tree drawn line by line: opening a node requests its children, and only visible lines are drawn.

The visible list is rebuilt from the open nodes when one opens or closes (100 ms at 100,000 lines);
scrolling and moving cost nothing.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType

from taskscope.tui.line_list import Cell, LineList, cell_segments
from taskscope.tui.messages import Sent
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from rich.style import Style
    from textual import events

Data = TypeVar("Data")

OPEN, CLOSED, WAITING, LEAF = "▾", "▸", "…", " "
INDENT = 2


@dataclass(slots=True, eq=False)
class Node(Generic[Data]):
    """A line of the tree.  ``children`` None: not requested yet; ``more``: how many are not loaded."""

    key: Hashable
    data: Data
    expandable: bool = True
    expanded: bool = False
    children: list[Node[Data]] | None = None
    more: int = 0
    depth: int = field(default=0, init=False)
    parent: Node[Data] | None = field(default=None, init=False)
    more_of: Node[Data] | None = field(default=None, init=False)


class LineTree(LineList[Node[Data]]):
    """A tree whose lines end in the columns ``tail``; ``render_node`` returns their cells."""

    HEADER_LINES: ClassVar[int] = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "expand", "Open", show=False),
        Binding("h,left", "collapse", "Close", show=False),
    ]

    class ChildrenWanted(Sent["LineTree[Any]"]):
        """``node`` was opened and its children, or the next page of them, are not loaded."""

        def __init__(self, tree: LineTree[Any], node: Node[Any]) -> None:
            super().__init__(tree)
            self.node = node

    def __init__(
        self,
        label: str,
        tail: Sequence[tuple[str, int]],
        render_node: Callable[[Data], Sequence[Cell]],
        *,
        empty: str = "",
        id: str | None = None,
    ) -> None:
        """``tail``: label and width of the columns after the node's own text."""
        super().__init__(lambda node: node.key, empty=empty, id=id)
        self._label = label
        self._tail = tuple(tail)
        self._render_node = render_node
        self.roots: list[Node[Data]] = []

    def show_roots(self, roots: Sequence[Node[Data]]) -> None:
        """Replaces the whole tree."""
        self.roots = list(roots)
        self.rebuild()

    def add_children(self, node: Node[Data], children: Sequence[Node[Data]], more: int = 0) -> None:
        """Answers ``ChildrenWanted``; ``more`` siblings are not loaded yet."""
        node.children = [*(node.children or ()), *children]
        node.more = more
        if not node.children:
            node.expandable = False
        self.rebuild()

    def rebuild(self) -> None:
        """Rebuilds the lines after nodes changed."""
        lines: list[Node[Data]] = []
        stack = list(reversed(self.roots))
        for root in self.roots:
            root.depth, root.parent = 0, None
        while stack:
            node = stack.pop()
            lines.append(node)
            if not node.expanded or node.children is None:
                continue
            below = [*node.children, self._more(node)] if node.more else node.children
            for child in below:
                child.depth, child.parent = node.depth + 1, node
            stack.extend(reversed(below))
        self.show(lines)

    @staticmethod
    def _more(node: Node[Data]) -> Node[Data]:
        line = Node(("more", node.key), node.data, expandable=False)
        line.more_of = node
        return line

    def not_shown(self) -> list[tuple[str, str]]:
        """The node's own text in full."""
        node = self.cursor_row
        if node is None or node.more_of is not None:
            return []
        head, *_ = self._render_node(node.data)
        text = head if isinstance(head, str) else head.plain
        sizes = self._sizes(self.scrollable_content_region.width - 1)
        room = self.scrollable_content_region.width - 1 - sum(sizes) - len(sizes)
        return [("", text)] if cell_len(text) + node.depth * INDENT + 2 > room else []

    # -- opening and closing

    def toggle(self, node: Node[Data]) -> None:
        if node.expanded:
            node.expanded = False
            self.rebuild()
        else:
            self.open_node(node)

    def open_node(self, node: Node[Data]) -> None:
        """Opens ``node``; requests its children the first time."""
        if not node.expandable:
            return
        node.expanded = True
        if node.children is None:
            self.post_message(self.ChildrenWanted(self, node))
        self.rebuild()

    def action_expand(self) -> None:
        node = self.cursor_row
        if node is None:
            return
        if node.expanded and node.children:
            self.move_to(self.cursor + 1)
        else:
            self.open_node(node)

    def action_collapse(self) -> None:
        node = self.cursor_row
        if node is None:
            return
        if node.expanded:
            self.toggle(node)
        elif node.parent is not None:
            self.move_to_key(node.parent.key)

    def action_select(self) -> None:
        node = self.cursor_row
        if node is not None and node.more_of is not None:
            self.post_message(self.ChildrenWanted(self, node.more_of))
        else:
            super().action_select()

    async def _on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y >= self.HEADER_LINES:
            node = self.row_at(round(self.scroll_y) + offset.y - self.HEADER_LINES)
            marker = 1 + node.depth * INDENT if node else -1
            if node is not None and marker <= offset.x <= marker + 1 and node.expandable:
                event.stop()
                self.toggle(node)
                return
        await super()._on_click(event)

    # -- drawing

    def header_segments(self, width: int, style: Style) -> Sequence[Segment]:
        return self._line(self._label, [label for label, _ in self._tail], width, style)

    def row_segments(self, row: Node[Data], width: int, style: Style) -> Sequence[Segment]:
        if row.more_of is not None:
            lead = " " * (row.depth * INDENT)
            text = f"{lead}  … {row.more_of.more:,} more: Enter shows the next page"
            return self._line(text, [""] * len(self._tail), width, style + self.muted)
        head, *tail = self._render_node(row.data)
        lead = " " * (row.depth * INDENT) + self._sign(row) + " "
        cell = lead + head if isinstance(head, str) else Text(lead) + head
        return self._line(cell, tail, width, style)

    @staticmethod
    def _sign(node: Node[Data]) -> str:
        if not node.expandable:
            return LEAF
        if not node.expanded:
            return CLOSED
        return WAITING if node.children is None else OPEN

    def _sizes(self, width: int) -> list[int]:
        """Widths of the columns that fit."""
        sizes = [size for _, size in self._tail]
        while sizes and sum(sizes) + len(sizes) > width - 20:
            sizes.pop()  # a narrow terminal keeps the first columns
        return sizes

    def _line(self, head: Cell, tail: Sequence[Cell], width: int, style: Style) -> Sequence[Segment]:
        console = self.app.console
        sizes = self._sizes(width)
        line = list(cell_segments(head, width - sum(sizes) - len(sizes), "left", style, console))
        for cell, size in zip(tail, sizes, strict=False):
            line.append(Segment(" ", style))
            line.extend(cell_segments(cell, size, "right", style, console))
        return line
