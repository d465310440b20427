"""Lines of code: in stacks, and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RUNNERS", "CreationStack", "Frame", "SourceLines", "library_line", "user_line"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of code."""

    file: str
    line: int
    function: str
    origin: words.Origin = "user"


RUNNERS: dict[words.Unseen, tuple[tuple[str, ...], str]] = {
    "trio": (("run", "unrolled_run", "get_events"), "/trio/_core/_run.py"),
    "gevent": (("run",), "/gevent/hub.py"),
}
"""The functions that run tasks of that kind or wait for them, and the end of their file's name."""


def user_line(stack: Sequence[Frame]) -> Frame | None:
    """The first frame of the user's own code."""
    return next((frame for frame in stack if frame.origin == "user"), None)


def library_line(stack: Sequence[Frame]) -> Frame | None:
    """The first frame outside the standard library; the innermost one if all are its own."""
    return next((frame for frame in stack if frame.origin != "stdlib"), stack[0] if stack else None)


@dataclass(frozen=True, slots=True)
class CreationStack:
    """The stack that created one task of a site, innermost first."""

    serial: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class SourceLines:
    """Lines of a source file as the target reads it; ``first`` is the first line's number."""

    file: str
    first: int
    lines: tuple[str, ...]
