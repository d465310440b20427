"""A process of a group, as it is shown."""

from __future__ import annotations

from dataclasses import field

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["Member"]


@dataclass(frozen=True, slots=True)
class Member:
    """``pid``: 0 while it is not known.  ``parent``: the pid of the nearest Python process above it.

    ``began``: when it was found, ``ended``: when it was gone, in seconds since the epoch; ``why``: why it is
    not attached to, or how it ended.  ``tasks`` to ``loop_latency`` are those of the last sample.
    ``levels``: its findings; ``worst``: the place of the worst of them, or what that says; ``odd``: how it
    differs from the others.
    """

    pid: int
    name: str
    command: str
    role: words.Role
    parent: int
    state: words.MemberState
    why: str
    began: float
    ended: float | None = None
    tasks: int | None = None
    threads: int | None = None
    rss: int | None = None
    cpu: float | None = None
    loop_latency: float | None = None
    levels: dict[words.Level, int] = field(default_factory=dict)
    worst: str = ""
    odd: words.Odd = ""
