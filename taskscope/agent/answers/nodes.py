"""The wait graph as it is gathered: by number, without references to the program's objects."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.model.vocabulary import EdgeKind, Gone, NodeKind

Key = tuple[str, int]
"""A task by serial, a thread by ident, another process by pid, anything else by ``id`` or counted."""

REST: Key = ("rest", 0)
"""All tasks and threads of the process together."""


MAX_WAITING = 20
"""Most nodes sent that merely wait for the same thing."""


class Node:
    """A node before it is described."""

    __slots__ = ("either", "gone", "kind", "name", "since", "size", "text")

    def __init__(
        self, kind: NodeKind, since: float | None = None, *, either: bool = False, gone: Gone = ""
    ) -> None:
        self.kind = kind
        self.since = since
        self.either = either
        self.gone = gone
        self.name = ""
        self.text = ""
        self.size: int | None = None


class Edge(NamedTuple):
    """``frame``: the id of the frame of a thread that holds it."""

    waiter: Key
    on: Key
    how: EdgeKind
    where: model.Frame | None = None
    frame: int = 0


def shown_of(edges: list[model.WaitEdge], gone: set[int], rest: int | None) -> tuple[Counter[int], set[int]]:
    """How many wait for each node, and the nodes to send.  The process as a whole waits for all of them."""
    edges = [each for each in edges if each.waiter != rest]
    waiting = Counter(each.on for each in edges)
    shown = set(waiting) | gone
    left = Counter(dict.fromkeys(waiting, MAX_WAITING))
    for edge in edges:
        if edge.waiter not in shown and left[edge.on] > 0:
            left[edge.on] -= 1
            shown.add(edge.waiter)
    return waiting, shown


def with_rest(nodes: dict[Key, Node], edges: list[Edge], threads: set[int], *, closed: bool) -> list[Edge]:
    """The edges, and the process as a whole as a node, if every task and thread is one too.

    If not, whoever waits for anybody may be woken, and any end of a pipe be used: those nodes are dropped.
    """
    actors = [*(("thread", each) for each in threads), *(each for each in nodes if each[0] == "task")]
    if closed and all(each in nodes for each in actors):
        nodes[REST] = Node(
            "rest", max((nodes[each].since or 0.0 for each in actors), default=0.0), either=True
        )
        return edges + [Edge(REST, each, "woken") for each in actors]
    kept = [each for each in edges if each.on != REST]
    waiting = {each.waiter for each in kept}
    living, of_anybody = ("task", "thread"), {each.waiter for each in edges if each.on == REST}
    for key in list(nodes):
        if (key[0] in living and key not in waiting) or (key[0] == "channel" and key in of_anybody):
            del nodes[key]
    return kept
