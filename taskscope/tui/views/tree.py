"""Task trees, by parent and by await; siblings of one site fold into one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from taskscope import text as fmt
from taskscope.model import requests
from taskscope.model.vocabulary import TREES
from taskscope.tui.line_tree import LineTree, Node
from taskscope.tui.task_list import oldest_age, parked_text
from taskscope.tui.theme import palette
from taskscope.tui.views.detail import DetailScreen
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from textual.app import ComposeResult

    from taskscope.model import Frame, Task, TreeGroup
    from taskscope.model.vocabulary import TreeBy
    from taskscope.tui.context import Context
    from taskscope.tui.line_list import LineList
    from taskscope.tui.line_table import Cell

PAGE = 100
"""Tasks per page below a folded group."""

_REFRESHED = 8  # open nodes per refresh: each costs a walk over all tasks

PARENT: TreeBy
AWAIT: TreeBy
PARENT, AWAIT = TREES

EXPLAINS = """\
Which task created which (by parent), or which task waits for which
(by await: below a task is what it waits for).  v shows the next
tree: by parent, by await, threads.

×50       50 siblings from one creation site, folded into one line;
          Enter opens it, a page at a time
live      live tasks on the line
oldest    age of the oldest of them
below     tasks below them
†         a ghost: it has ended, but tasks that it created are live
↻         part of a cycle: it waits, indirectly, for itself; a task
          shown above does not open again

→ or l opens a line, ← or h closes it, Enter on a task opens the
task.  Refreshes every few seconds; r refreshes now."""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the tree: a group of siblings, one task of it (``serial``), or a ``note`` about it."""

    group: TreeGroup
    parent: int | None
    serial: int | None = None
    task: Task | None = None
    seen: bool = False
    note: str = ""


class TreeScreen(DetailScreen):
    """The tasks as a tree, ``by`` parent or await."""

    TITLE = "Task tree"
    EXPLAINS = EXPLAINS
    READS = "read the tree"
    EVERY = 5.0
    DEFAULT_CSS = "TreeScreen LineTree { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "next_tree", "Next tree")]

    def __init__(self, context: Context, by: TreeBy = PARENT) -> None:
        super().__init__(context)
        self._by = by
        self._known: dict[str, list[Node[Item]]] = {}

    def body(self) -> ComposeResult:
        yield self.subject
        tail = (("live", 8), ("oldest", 8), ("below", 8))
        yield LineTree[Item]("task", tail, self._cells, empty="Reading the tree …")

    def on_mount(self) -> None:
        self._say()
        self._tree.focus()

    @property
    def _tree(self) -> LineTree[Item]:
        return self.query_one(LineTree)

    def _say(self) -> None:
        explained = {PARENT: "which task created which", AWAIT: "which task waits for which"}[self._by]
        self.subject.show(f"tasks by {self._by}", explained, "v: next tree")

    def look(self) -> None:
        super().look()
        self._tree.refresh()  # ages

    # -- data

    async def load(self) -> None:
        by, tree = self._by, self._tree
        roots, _ = await self._children(by, None, 0)
        open_nodes = [node for node in _opened(self._known.get(by, [])) if not node.data.seen][:_REFRESHED]
        fresh = [(node, await self._children(by, node, len(node.children or ()))) for node in open_nodes]
        if by != self._by:
            return
        self._known[by] = _merged(self._known.get(by, []), roots)
        for node, (children, more) in fresh:
            node.children, node.more = _merged(node.children or [], children), more
        tree.show_empty(_WHY_EMPTY[by])
        tree.show_roots(self._known[by])

    async def _children(
        self, by: TreeBy, node: Node[Item] | None, count: int
    ) -> tuple[list[Node[Item]], int]:
        """The children of ``node`` (None: the roots), at least a page, and how many are left."""
        if node is None:
            groups = await self.context.source.ask(requests.Tree(by, None))
        elif node.data.serial is not None:
            groups = await self.context.source.ask(requests.Tree(by, node.data.serial))
        else:
            return await self._members(by, node, max(PAGE, count))
        above = {each.data.serial for each in _upwards(node)} if node else set()
        parent = node.data.serial if node else None
        return [_group_node(node, group, parent, above) for group in groups], 0

    async def _members(self, by: TreeBy, node: Node[Item], count: int) -> tuple[list[Node[Item]], int]:
        """The tasks of a folded group: in full for live children, else the known serials."""
        group, parent = node.data.group, node.data.parent
        above = {each.data.serial for each in _upwards(node)}
        if by == PARENT and not group.ended:
            page = await self.context.source.ask(
                requests.Tasks(parent=parent or 0, sites=(group.site,), limit=count)
            )
            if page.tasks:
                nodes = [_task_node(node, group, parent, task.serial, above, task) for task in page.tasks]
                return nodes, max(0, page.total - len(nodes))
        nodes = [_task_node(node, group, parent, serial, above) for serial in group.serials]
        return [*nodes, *_unlisted(node, group, parent)], 0

    def on_line_tree_children_wanted(self, event: LineTree.ChildrenWanted) -> None:
        event.stop()
        self.run_worker(self._open(event.node), group=f"children {hash(event.node.key)}", exclusive=True)

    async def _open(self, node: Node[Item]) -> None:
        shown = len(node.children or ())
        patience = self.patience("reading …")
        answer = await self.context.ask(self._children(self._by, node, shown + PAGE))
        patience.stop()
        self.subject.note("")
        if answer is None:
            node.expanded = False
        else:
            node.children, node.more = _merged(node.children or [], answer[0]), answer[1]
            node.expandable = bool(node.children)
        self._tree.rebuild()

    # -- drawing

    def _cells(self, item: Item) -> Sequence[Cell]:
        group, colours = item.group, palette(self.app.theme_variables)
        if item.note:
            return (Text(item.note, colours.dim), "", "", "")
        below = fmt.count(group.children) if group.children else ""
        if item.task is not None:
            text = f"{item.task.serial} {item.task.name}  {parked_text(item.task.parked, item.task.state)}"
            mark = "✕ " if item.task.cancelling else ""
            again = "  ↻ shown above" if item.seen else ""
            return (Text(mark + text + again), "", oldest_age(self.context, item.task.birth), "")
        if item.serial is not None and group.live != 1:
            sign, again = "† " if group.ended else "", "  ↻ shown above" if item.seen else ""
            style = colours.dim if group.ended else colours.text
            return (Text(f"{sign}{group.label} {item.serial}{again}", style), "", "", "")
        head = Text(self._label(item), colours.dim if group.ended else colours.text)
        live = "ended" if group.ended else fmt.count(group.live)
        oldest = self.context.store.age_text(group.oldest) if group.oldest is not None else ""
        return (head, live, oldest, below)

    def _label(self, item: Item) -> str:
        group = item.group
        row = self.context.store.site(group.site)
        sign = "† " if group.ended else "↻ " if group.cycle or item.seen else ""
        many = f" ×{fmt.count(group.live)}" if group.live > 1 else f" {item.serial}" if item.serial else ""
        place = f"  {row.label}" if row else ""
        why = "  shown above" if item.seen else "  in a cycle" if group.cycle else ""
        return f"{sign}{group.label}{many}{why}{place}"

    @property
    def frame(self) -> Frame | None:
        node = self._tree.cursor_row
        row = self.context.store.site(node.data.group.site) if node else None
        return row.frame if row else None

    def as_text(self) -> str:
        lines = []
        for node in self._tree.rows:
            head = self._cells(node.data)[0]
            lines.append("  " * node.depth + str(head))
        return "\n".join(lines)

    # -- keys

    def on_line_list_row_selected(self, event: LineList.RowSelected) -> None:
        event.stop()
        node: Node[Item] = event.row
        item = node.data
        if item.note:
            return
        if item.serial is None or item.group.ended:
            self._tree.toggle(node)
            return
        from taskscope.tui.views.task import TaskScreen

        self.app.push_screen(TaskScreen(self.context, item.task or item.serial))

    def action_next_tree(self) -> None:
        if self._by == AWAIT:
            from taskscope.tui.views.threads import ThreadsScreen

            self.app.switch_screen(ThreadsScreen(self.context, as_tree=True))
            return
        self._by = AWAIT
        self._say()
        self._tree.show_empty("Reading the tree …")
        self._tree.show_roots(self._known.get(AWAIT, []))
        self.reload(anew=True)


_WHY_EMPTY = {
    PARENT: "No live task.  3 lists recently ended tasks.",
    AWAIT: "No task waits for another task.  v shows the threads.",
}


def _upwards(node: Node[Item]) -> Iterator[Node[Item]]:
    at: Node[Item] | None = node
    while at is not None:
        yield at
        at = at.parent


def _opened(nodes: Sequence[Node[Item]]) -> Iterator[Node[Item]]:
    """Open nodes whose children are loaded, from the top."""
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if node.expanded and node.children is not None:
            yield node
            stack.extend(reversed(node.children))


def _group_node(
    above: Node[Item] | None, group: TreeGroup, parent: int | None, seen: set[int | None]
) -> Node[Item]:
    single = group.serials[0] if group.live == 1 and len(group.serials) == 1 else None
    again = single is not None and single in seen
    key: Hashable = (above and above.key, "group", group.site, group.ended, group.cycle, single)
    expandable = not again and (single is None or bool(group.children))
    return Node(key, Item(group, parent, single, seen=again), expandable)


def _task_node(
    above: Node[Item],
    group: TreeGroup,
    parent: int | None,
    serial: int,
    seen: set[int | None],
    task: Task | None = None,
) -> Node[Item]:
    again = serial in seen
    expandable = not again and bool(group.children)
    return Node((above.key, serial), Item(group, parent, serial, task, again), expandable)


def _unlisted(above: Node[Item], group: TreeGroup, parent: int | None) -> list[Node[Item]]:
    """A note on what the answer leaves out."""
    left = (group.children if group.ended else group.live) - len(group.serials)
    if left <= 0:
        return []
    if group.ended:
        note = f"… examples; {fmt.count(group.children)} live children in all"
    else:
        note = f"… {fmt.count(left)} more, not listed in this tree; the site lists them all"
    return [Node((above.key, "unlisted"), Item(group, parent, note=note), expandable=False)]


def _merged(known: Sequence[Node[Item]], fresh: Sequence[Node[Item]]) -> list[Node[Item]]:
    """The fresh nodes; those already known stay open."""
    before = {node.key: node for node in known}
    result = []
    for node in fresh:
        old = before.get(node.key)
        if old is None:
            result.append(node)
        else:
            old.data = node.data
            old.expandable = node.expandable
            result.append(old)
    return result
