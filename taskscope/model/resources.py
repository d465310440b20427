"""What a process has that is neither a task, a thread nor a timer, and that may leak all the same."""

from __future__ import annotations

from dataclasses import dataclass

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)

__all__ = ["Resource", "Resources"]


@dataclass(frozen=True, slots=True)
class Resource:
    """``count`` things that are alike.

    ``name``: of a context variable, a class, a pool, a command; ``detail``: what it holds or is for.
    ``frame``: the line that made them, or at which they stand.  ``users``: tasks and timers whose context has
    this value of the variable, or jobs that wait for the pool.  ``each``: bytes of one.  ``alone``: of
    ``inspected`` ones, those that only the event loop refers to.
    """

    kind: words.ResourceKind
    name: str
    count: int
    state: words.ResourceState = "unknown"
    detail: str = ""
    frame: Frame | None = None
    users: int | None = None
    each: int | None = None
    alone: int = 0
    inspected: int = 0


@dataclass(frozen=True, slots=True)
class Resources:
    """All of them at ``monotonic``, by kind, most first.

    ``searched``: the search for loops that nobody runs came to its end; in a large process it does not.
    """

    monotonic: float
    rows: tuple[Resource, ...] = ()
    searched: bool = False
