"""The library function in which something waits, as a person would name it: ``asyncpg Pool._acquire``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import MAX_NAME, text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType


def library_function(frames: Sequence[FrameType]) -> str:
    """The innermost function of a library that means something; "" if user code waits.

    ``frames``: innermost first.  One that only passes a wait on (``AsyncEvent.wait`` calls ``Event.wait``), a
    special method or a function within another says less than the one that called it.
    """
    inner: set[str] = set()
    last: CodeType | None = None
    for frame in frames:
        code = frame.f_code
        file = origins.file_of(code)
        if origins.origin(file) == "user":
            break
        if origins.origin(file) == "library" and not origins.is_plumbing(file):
            last = code
            if _means_something(code, inner):
                break
        inner.add(_bare(code))
    if last is None or not origins.package_of(origins.file_of(last)):
        return ""
    name = origins.function_name(last)
    return f"{origins.package_of(origins.file_of(last))} {name if len(name) <= MAX_NAME else name[:MAX_NAME]}"


def _bare(code: CodeType) -> str:
    return text(code.co_qualname).rpartition(".")[2].lstrip("_")


def _means_something(code: CodeType, inner: set[str]) -> bool:
    name = text(code.co_qualname)
    special = name.rpartition(".")[2].startswith("__")
    return not special and "<locals>" not in name and _bare(code) not in inner
