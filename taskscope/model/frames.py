"""Lines of code: in stacks, and as text."""

from __future__ import annotations

from dataclasses import dataclass

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)

__all__ = ["CreationStack", "Frame", "SourceLines"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of code."""

    file: str
    line: int
    function: str
    origin: words.Origin = "user"


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
