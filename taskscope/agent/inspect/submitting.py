"""Where jobs are handed to an executor: the line of a running function that submits one by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.caches import Cache

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import CodeType, FrameType

    from taskscope import model

_SUBMITS = frozenset(("run_in_executor", "submit", "to_thread", "run_sync", "apply_async"))

_lines: Cache[tuple[int, ...]] = Cache(500)


def submits(frames: Iterable[FrameType], jobs: Collection[str]) -> model.Frame | None:
    """The line at which one of ``frames`` submits one of ``jobs``, by bare name; None if none does."""
    for frame in frames:
        code = frame.f_code
        names = code.co_names
        if _SUBMITS.isdisjoint(names) or not any(each in names or each in code.co_freevars for each in jobs):
            continue
        if origins.origin(origins.file_of(code)) != "stdlib":
            lines = _lines_of(code)
            return origins.frame_of(code, lines[0]) if len(lines) == 1 else None
    return None


def _lines_of(code: CodeType) -> tuple[int, ...]:
    """The lines that hand something to an executor."""
    known = _lines.get(code)
    if known is None:
        import dis

        found = {
            each.positions.lineno: None
            for each in dis.get_instructions(code)
            if each.argval in _SUBMITS and each.positions is not None and each.positions.lineno
        }
        known = _lines.put(code, tuple(found))
    return known
