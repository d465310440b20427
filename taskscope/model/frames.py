"""Lines of code: in stacks, and as text."""

from __future__ import annotations

from dataclasses import dataclass

from taskscope.model import vocabulary as words  # noqa: TC001  (the fields' types are looked up)

__all__ = ["CreationStack", "Frame", "SourceText"]


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
class SourceText:
    """Lines of a source file as the target sees it; ``first`` is the number of the first line."""

    file: str
    first: int
    lines: tuple[str, ...]
