"""Which tasks and threads hold the locks and slots that others wait for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope.agent.answers.nodes import Edge
from taskscope.agent.inspect import futures, holdings, stacks
from taskscope.agent.inspect.looking import attribute
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from taskscope.agent.inspect.walk import Job


_INNER = (
    *("_lock", "_internal_lock", "_internal_semaphore", "_internal_limiter"),
    *("_Lock__original", "_Semaphore__original", "_CapacityLimiter__original"),
)
"""Where a condition has its lock, and anyio what it adapts: before it runs, and on trio."""

MAX_INNER = 4


class Held:
    """``wanted``: what is waited for, by ``id``.  ``by``: the edges from each to those that hold it."""

    def __init__(self, wanted: Collection[int]) -> None:
        self._wanted = wanted
        self.by: dict[int, list[Edge]] = defaultdict(list)

    def note_threads(self, idents: Iterable[int]) -> Job[None]:
        for ident in idents:
            yield from holdings.read_frames(stacks.current_frames().get(ident))
            frame = stacks.current_frames().get(ident)
            for held, holder in holdings.of_frames(frame) if frame is not None else ():
                number = self._number(held.thing)
                if number is not None:
                    edge = Edge(("thing", number), ("thread", ident), "held", held.where, id(holder))
                    self.by[number].append(edge)
            frame = holder = held = None  # type: ignore[assignment]
            if spent():
                yield

    def note_tasks(self, tasks: Iterator[object | None]) -> Job[None]:
        """``tasks``: None wherever a pause is due."""
        for task in tasks:
            if task is None:
                yield
            else:
                yield from holdings.read(task)
                self._note_task(task)

    def _note_task(self, task: object) -> None:
        for held in holdings.of_task(task):
            number = self._number(held.thing)
            if number is not None:
                holder = "task", futures.serial_of(task) or 0
                self.by[number].append(Edge(("thing", number), holder, "held", held.where))

    def _number(self, thing: object) -> int | None:
        """The number of a thing that is waited for, or of the lock of a condition, or of what it adapts."""
        for _ in range(MAX_INNER):
            if id(thing) in self._wanted:
                return id(thing)
            inner = (attribute(thing, name) for name in _INNER)
            thing = next((each for each in inner if each is not None), None)
            if thing is None:
                break
        return None
