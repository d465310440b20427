"""Who waits for whom: tasks, threads, and the locks, slots and pools between them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.descriptors import Descriptor  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Awaiter",
    "Cancelled",
    "Ending",
    "FullPool",
    "FullSlots",
    "Holder",
    "UnreadOutput",
    "Unreturned",
    "WaitEdge",
    "WaitGraph",
    "WaitNode",
    "WaitingAt",
    "deadlocked",
]


@dataclass(frozen=True, slots=True)
class WaitNode:
    """A task or thread, or something that they wait for.

    ``id`` counts within one graph; ``number`` is the serial of a task, the ident of a thread or a pid.
    ``text``: what it waits in; of a channel, its other ends.  ``frame``: where a task or thread waits, the
    innermost outside the standard library.  ``since``: it has not moved since then; None: it cannot.
    ``either``: one of the things it waits for is enough to continue; else it needs all.  ``gone``: why
    nothing can release it.  ``size``: slots; None: unknown.  ``waiting``: how many wait for it.
    """

    id: int
    kind: words.NodeKind
    name: str
    number: int = 0
    frame: Frame | None = None
    user_frame: Frame | None = None
    text: str = ""
    since: float | None = None
    either: bool = False
    gone: words.Gone = ""
    size: int | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class WaitEdge:
    """``waiter`` cannot continue before ``on`` does.  ``frame``: the line where ``on`` took it.

    ``interrupted``: what ran the waiting code inside the code that holds it; ``by``: its outermost frame.
    """

    waiter: int
    on: int
    how: words.EdgeKind
    frame: Frame | None = None
    interrupted: words.Interruption = ""
    by: Frame | None = None


@dataclass(frozen=True, slots=True)
class Awaiter:
    """A task that waits for another to end.  ``cancels``: the line before at which it calls ``cancel``."""

    number: int
    name: str
    frame: Frame | None
    cancels: Frame | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A task that was cancelled, and still runs; seen so since ``task.since``.

    ``requests``: to cancel it, that it has not answered.  ``caught``: where CancelledError is caught and not
    raised again, if its code shows that.  ``task.waiting`` tasks wait for its end; ``awaiters``: the first.
    """

    task: WaitNode
    requests: int
    caught: Frame | None = None
    awaiters: tuple[Awaiter, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingAt:
    """``tasks``, or threads, wait at one line."""

    frame: Frame
    tasks: int


@dataclass(frozen=True, slots=True)
class FullPool:
    """A pool of threads, all with jobs, most of which have not moved since ``since``, while jobs wait.

    ``id`` as in ``Executor``.  ``all``: none of them has.  ``waiting``: how many tasks wait for a worker, by
    line, most first.  ``submitted``: lines of running functions that hand over such jobs.
    """

    id: int
    since: float
    waiting: tuple[WaitingAt, ...] = ()
    all: bool = True
    submitted: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """A task or thread that has a slot, and where it took it.

    ``since``: it has not moved since then; None: it may.
    """

    name: str
    number: int
    since: float | None
    frame: Frame | None
    taken: Frame | None
    text: str = ""
    kind: words.NodeKind = "task"


@dataclass(frozen=True, slots=True)
class FullSlots:
    """A semaphore, limiter or pool: all its slots are taken by those that have not moved since ``since``.

    ``size``: slots; 0: unknown.  ``unheld``: members of a pool that no task or thread has.
    ``holders``: the first few.  ``waiting``: how many wait for a slot, the longest since ``oldest``;
    ``lines``: where, most first; ``waiters``: what they are.
    """

    name: str
    size: int
    since: float
    waiting: int
    oldest: float
    holders: tuple[Holder, ...] = ()
    lines: tuple[WaitingAt, ...] = ()
    waiters: words.NodeKind = "task"
    unheld: int = 0


@dataclass(frozen=True, slots=True)
class Unreturned:
    """Slots of a semaphore or lock, items of a queue or members of a pool that nobody will give back.

    ``size``: slots (0: unknown), items not done, or members, of which ``closed`` are closed connections.
    ``waiting`` tasks wait, at ``lines``, most first; none has moved since ``since``.  ``takers``: how many
    take them at which line; of slots, those whose code gives them back only if nothing fails; of items, where
    consumers wait for more.
    """

    kind: words.Lost
    name: str
    size: int
    since: float
    waiting: int
    lines: tuple[WaitingAt, ...]
    takers: tuple[WaitingAt, ...] = ()
    closed: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """A process that is ending, and waits.

    ``chain``: from the main thread to what all of them wait for, seen so since ``since``, which waits in
    ``system_call``, on ``descriptors``.  ``endless``: no time-out ends that.  ``may_answer``: another process
    at the other end runs, or waits for a limited time, or is out of sight.
    """

    how: words.EndingHow
    since: float
    chain: tuple[WaitNode, ...]
    system_call: str = ""
    endless: bool = False
    descriptors: tuple[Descriptor, ...] = ()
    may_answer: bool = False


@dataclass(frozen=True, slots=True)
class UnreadOutput:
    """A child ``process`` that has waited since ``since`` for room in a pipe, which is ``on`` at our end.

    Nobody reads it at the moment; ``waiter`` waits for the child to end.  ``alone``: only its own functions
    lead to the pipe, so nobody will read it.
    """

    waiter: WaitNode
    process: WaitNode
    since: float
    on: tuple[Descriptor, ...] = ()
    alone: bool = False


@dataclass(frozen=True, slots=True)
class WaitGraph:
    """The part of the graph in which nothing can continue by itself, at one moment.

    ``cancelled``: tasks that were cancelled and still run, and that are awaited or seen to swallow it.
    """

    monotonic: float
    nodes: tuple[WaitNode, ...] = ()
    edges: tuple[WaitEdge, ...] = ()
    cancelled: tuple[Cancelled, ...] = ()
    full: tuple[FullPool, ...] = ()
    ending: Ending | None = None
    slots: tuple[FullSlots, ...] = ()
    unread: tuple[UnreadOutput, ...] = ()
    unreturned: tuple[Unreturned, ...] = ()


def deadlocked(nodes: Iterable[WaitNode], edges: Iterable[WaitEdge]) -> set[int]:
    """The ids of nodes that cannot continue: each waits only for such nodes, or for what is gone.

    A node that waits for nothing continues.  The cost grows with the number of edges.
    """
    found = {each.id: each for each in nodes}
    ahead: dict[int, list[WaitEdge]] = defaultdict(list)
    behind: dict[int, list[int]] = defaultdict(list)
    for edge in edges:
        if edge.waiter in found:
            ahead[edge.waiter].append(edge)
            behind[edge.on].append(edge.waiter)
    doubtful = list(found)
    while doubtful:
        node = found.get(doubtful.pop())
        if node is None or _is_stuck(node, ahead[node.id], found):
            continue
        del found[node.id]
        doubtful += behind[node.id]
    return set(found)


def _is_stuck(node: WaitNode, ahead: list[WaitEdge], stuck: dict[int, WaitNode]) -> bool:
    if node.gone or any(edge.on in stuck for edge in ahead if edge.how == "loop"):
        return True
    blocked = [edge.on in stuck for edge in ahead if edge.how != "loop"]
    return bool(blocked) and (all(blocked) if node.either else any(blocked))
