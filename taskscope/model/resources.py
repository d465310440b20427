"""What a process has that is neither a task, a thread nor a timer, and that may leak all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.findings import Keeper  # noqa: TC001  (field types are resolved at run time)
from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Resource", "Resources"]


@dataclass(frozen=True, slots=True)
class Resource:
    """``count`` things that are alike.

    ``name``: of a context variable, a class, a pool, a command; ``detail``: what it holds or is for.
    ``frame``: the line that made them, or at which they stand. ``users``: tasks and timers whose context has
    a value of the variable, jobs that wait for the pool, living threads that made the loops, or who waits for
    the primitives. ``since``: the longest of these has not moved since then; the oldest child started then.
    ``each``: bytes of one. ``alone``: of ``inspected`` ones, those that only the event loop refers to.
    ``keeper``: the container that most are in. ``variables``: context variables of that name.
    ``older``: of ``count``, those that were there before the agent, which took a search to find.
    ``births``: of children, when they were started, in order; an even sample.
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
    keeper: Keeper | None = None
    variables: int | None = None
    since: float | None = None
    older: int = 0
    births: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """Its name, of a class without the module."""
        return self.name.rpartition(".")[2] if self.kind == "loop" else self.name

    @property
    def key(self) -> Hashable:
        """What stays the same of it from look to look."""
        detail = self.detail if self.kind in ("descriptor", "transport", "primitive") else ""
        return self.kind, self.name, self.state, detail, self.frame


@dataclass(frozen=True, slots=True)
class Resources:
    """All of them at ``monotonic``, by kind, most first.

    ``searched``: the search for loops that nobody runs came to its end; in a large process it does not.
    """

    monotonic: float
    rows: tuple[Resource, ...] = ()
    searched: bool = False
