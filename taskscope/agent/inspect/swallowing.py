"""Where a request to cancel gets lost: the handler of a coroutine that catches CancelledError and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.caches import Cache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from dis import Instruction
    from types import CodeType, FrameType

    from taskscope import model

_CATCHES = frozenset(("CancelledError", "BaseException"))
_NEAR = 10
"""Instructions in which the names of one ``except`` are loaded."""

_lines: Cache[tuple[int, ...]] = Cache(500)
_cancels: Cache[tuple[tuple[int, int], ...]] = Cache(500)


def place_of(frames: Sequence[FrameType]) -> model.Frame | None:
    """The innermost handler in these frames (innermost first); None: none of them has one."""
    for frame in frames:
        if origins.origin(origins.file_of(frame.f_code)) == "stdlib":
            continue
        lines = lines_of(frame.f_code)
        if lines:
            before = [each for each in lines if each >= frame.f_lineno]
            return origins.frame_of(frame.f_code, min(before) if before else max(lines))
    return None


def lines_of(code: CodeType) -> tuple[int, ...]:
    """The lines of the handlers that catch CancelledError and neither raise nor return."""
    known = _lines.get(code)
    return known if known is not None else _lines.put(code, tuple(_swallowing(_read(code))))


def cancel_before(frame: FrameType) -> model.Frame | None:
    """The last line before the present one of ``frame`` that calls ``cancel``; None if there is none."""
    code = frame.f_code
    if "cancel" not in code.co_names:
        return None
    known = _cancels.get(code)
    if known is None:
        calls = ((each.offset, _line(each)) for each in _read(code) if each.argval == "cancel")
        known = _cancels.put(code, tuple(calls))
    lines = [line for offset, line in known if offset < frame.f_lasti]
    return origins.frame_of(code, lines[-1]) if lines else None


def _read(code: CodeType) -> list[Instruction]:
    import dis

    return list(dis.get_instructions(code))


def _swallowing(found: list[Instruction]) -> Iterator[int]:
    for at, each in enumerate(found):
        if each.opname == "CHECK_EXC_MATCH":
            caught, first = _names(found[max(0, at - _NEAR) : at]), at + 2
        elif each.opname == "PUSH_EXC_INFO" and found[at + 1 : at + 2] and found[at + 1].opname == "POP_TOP":
            caught, first, each = True, at + 2, found[at + 1]  # noqa: PLW2901
        elif each.argval == "suppress":
            if any(later.argval in _CATCHES for later in found[at + 1 : at + 1 + _NEAR] if _is_name(later)):
                yield _line(each)
            continue
        else:
            continue
        if caught and _goes_on(found[first:]):
            yield _line(each)


def _names(before: list[Instruction]) -> bool:
    """Whether the ``except`` names CancelledError; ``before``: its instructions, and earlier ones."""
    for each in reversed(before):
        if each.opname in ("PUSH_EXC_INFO", "POP_TOP") or "JUMP" in each.opname:
            return False
        if _is_name(each) and each.argval in _CATCHES:
            return True
    return False


def _is_name(each: Instruction) -> bool:
    return isinstance(each.argval, str)


def _goes_on(body: list[Instruction]) -> bool:
    """Whether a handler leaves by neither ``raise`` nor ``return``."""
    for at, each in enumerate(body):
        if each.opname.startswith(("RAISE", "RERAISE")):
            return False
        if each.opname == "POP_EXCEPT":
            return not any(later.opname.startswith("RETURN") for later in body[at : at + 4])
    return False


def _line(each: Instruction) -> int:
    return (each.positions.lineno or 0) if each.positions is not None else 0
