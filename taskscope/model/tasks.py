"""Tasks: single, grouped by parked place, age or parent, and ended."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.descriptors import Descriptor  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AGE_EDGES",
    "Ages",
    "Ancestor",
    "Ended",
    "Group",
    "Parked",
    "ParkedGroup",
    "Task",
    "TaskDetail",
    "TaskPage",
    "TreeGroup",
]


@dataclass(frozen=True, slots=True)
class Parked:
    """Where a pending task is suspended and what it waits on.

    ``frame`` is the innermost frame outside the standard library (the innermost, if there is none),
    ``user_frame`` the innermost in user code.  ``text`` describes the wait,
    the same for all tasks that wait alike; ``detail`` is specific to the task (a peer's address, sizes);
    ``task`` is the awaited serial; ``remaining`` the seconds left to sleep; ``descriptor``: it waits on that.
    """

    frame: Frame
    user_frame: Frame | None
    wait: words.Wait
    text: str
    task: int | None = None
    remaining: float | None = None
    detail: str = ""
    descriptor: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A live task.  ``birth`` None: older than the agent.  ``parent`` 0: created outside any task.

    ``orphan``: the parent has ended.  ``cancelling``: pending cancellation requests.
    """

    serial: int
    name: str
    coroutine: str
    state: words.TaskState
    site: int
    parent: int
    orphan: bool
    loop: int
    birth: float | None
    cancelling: int = 0
    parked: Parked | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of a list.  ``total`` counts all matches; ``after`` is the cursor of the next page."""

    tasks: tuple[Task, ...]
    total: int
    after: int | None
    exact_total: bool = True


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A task in a parent chain, live or ended."""

    serial: int
    site: int
    name: str
    coroutine: str
    live: bool


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """One task.  ``stack`` is the await chain, innermost first; ``created_by`` has the nearest parent first.

    ``creation`` is this task's creation stack, or one from the same site if ``creation_exact`` is false.
    ``siblings``: live tasks of the same parent.  ``waits_for``: tasks it awaits.  ``held_by``: tasks inside
    ``async with`` on the lock it waits for.  ``holders``: what refers to the bare future it waits for, as
    sentences.  ``fate``: whether anything can wake it (None where time, the kernel or a thread will);
    ``woken_by``: through what, if that could be named.
    """

    task: Task
    stack: tuple[Frame, ...]
    waits_for: tuple[Task, ...]
    awaited_by: tuple[Task, ...]
    created_by: tuple[Ancestor, ...]
    creation: tuple[Frame, ...]
    creation_exact: bool
    siblings: int
    held_by: tuple[Task, ...] = ()
    holders: tuple[str, ...] = ()
    fate: words.Fate | None = None
    woken_by: str = ""


@dataclass(frozen=True, slots=True)
class ParkedGroup:
    """Tasks that wait at one place for one kind of thing.  ``frame`` is the user frame, if any.

    Of these, ``cancelling`` were cancelled and still run, and ``orphans`` were created by tasks that ended.
    """

    key: str
    frame: Frame
    wait: words.Wait
    text: str
    live: int
    oldest: float | None
    remaining_min: float | None = None
    remaining_max: float | None = None
    cancelling: int = 0
    orphans: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Live tasks grouped by something that needs a walk (parent's site, parked at)."""

    key: str
    label: str
    frame: Frame | None
    live: int
    oldest: float | None
    sites: tuple[int, ...]


AGE_EDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0, 172800.0)
"""Seconds between the bars of ``Ages``."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Histogram of ages: ``counts[i]`` tasks are younger than ``edges[i]`` s; the last count is the rest."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unknown: int

    @classmethod
    def of(cls, births: Iterable[float | None], now: float) -> Ages:
        """The histogram of these births; None: unknown."""
        counts, unknown = [0] * (len(AGE_EDGES) + 1), 0
        for birth in births:
            if birth is None:
                unknown += 1
            else:
                counts[bisect_right(AGE_EDGES, now - birth)] += 1
        return cls(AGE_EDGES, tuple(counts), unknown)


@dataclass(frozen=True, slots=True)
class TreeGroup:
    """Siblings of one site under one node of a task tree, folded.

    ``serials`` are the first few; ``tasks(parent=…, sites=[site])`` lists the rest.  ``children``: how many
    tasks are below them.  ``ended``: a ghost, shown only for its children.  ``cycle``: already shown above
    (await graph).
    """

    site: int
    label: str
    live: int
    serials: tuple[int, ...]
    children: int
    oldest: float | None = None
    ended: bool = False
    cycle: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that ended recently, and how."""

    serial: int
    site: int
    name: str
    coroutine: str
    outcome: words.Outcome
    error: str
    birth: float | None
    end: float
