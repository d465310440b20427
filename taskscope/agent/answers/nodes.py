"""The wait graph as it is gathered: by number, without references to the program's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.model.vocabulary import EdgeKind, Gone, NodeKind

Key = tuple[str, int]
"""A task by serial, a thread by ident, anything else by ``id``."""


class Node:
    """A node before it is described."""

    __slots__ = ("either", "gone", "kind", "name", "since", "size")

    def __init__(self, kind: NodeKind, since: float | None = None, *, either: bool = False) -> None:
        self.kind = kind
        self.since = since
        self.either = either
        self.gone: Gone = ""
        self.name = ""
        self.size: int | None = None


class Edge(NamedTuple):
    """``frame``: the id of the frame of a thread that holds it."""

    waiter: Key
    on: Key
    how: EdgeKind
    where: model.Frame | None = None
    frame: int = 0
