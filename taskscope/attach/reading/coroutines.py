"""Await chains of another process's coroutines, read from its memory."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from taskscope.attach.reading.code_objects import TAGS
from taskscope.attach.reading.memory import MovedError
from taskscope.model import plumbing
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.attach.reading.frames import Interpreter
    from taskscope.attach.reading.layout import CoroutineLayout
    from taskscope.model import Frame

MOST_AWAITED = 64
"""Links of a chain: the process may have written anything."""

_ROOM = 512
"""Bytes of a coroutine that are read at once: its fields, and mostly the top of its stack."""

_LARGEST = 1 << 20
"""Bytes: no coroutine is larger."""

_QUALIFIED_NAME = 40
"""Bytes before a coroutine's frame at which its name is."""

_COROUTINES = {"coroutine", "generator", "async_generator"}
FUTURE_ITERATOR = "_asyncio.FutureIter"
_WRAPPERS = {
    "coroutine_wrapper",
    "anext_awaitable",
    "async_generator_asend",
    "async_generator_athrow",
    FUTURE_ITERATOR,
}

_WRAPPING = {each.replace(".<locals>", "") for each in plumbing.WRAPPERS | plumbing.CALLERS}


@dataclass(frozen=True, slots=True)
class Chain:
    """``coroutine``: its name, not that of a library's which wraps it.  ``stack``: innermost first.

    ``future``: the address of what the innermost one waits for, 0 if unknown; ``kind``: its type.  ``place``:
    the address of the outermost frame if it runs now, else 0.  ``cut``: it goes on beyond these frames.
    """

    coroutine: str
    stack: tuple[Frame, ...]
    future: int = 0
    kind: str = ""
    place: int = 0
    cut: bool = False


class Coroutines:
    """Those of one process.  ``layout``: where their fields are."""

    def __init__(self, interpreter: Interpreter, layout: CoroutineLayout) -> None:
        self._memory = interpreter.memory
        self._code = interpreter.code
        self._at = interpreter.layout
        self._layout = layout
        self._types: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def look_again(self) -> None:
        """Before each look: a type or name may have given way to another one at its address."""
        self._types.clear()
        self._names.clear()

    def chain(self, address: int) -> Chain:
        """What the coroutine at ``address`` is, and what it waits for.  Raises MovedError."""
        layout, frames = self._layout, []
        name, wraps, place, kind, cut = "", False, 0, "", False
        for _ in range(MOST_AWAITED):
            data = self._memory.read_most(address, _ROOM, layout.size)
            kind = self.type_of(data)
            if kind in _WRAPPERS:  # which begin with what they wrap
                address = struct.unpack_from("<Q", data, self._at.head)[0]
                continue
            if kind not in _COROUTINES:
                break
            state = data[layout.state] - (data[layout.state] >> 7 << 8)
            frame = self._frame(data, state)
            if frame is None:
                break
            frames.append(frame)
            if not name or wraps:
                name, wraps = self._name(data), _wraps(frame)
            if state == layout.running and len(frames) == 1:
                place = address + layout.frame
            if state != layout.awaiting or (layout.also_yields and not self._awaits(data)):
                return Chain(name, tuple(reversed(frames)), place=place)
            address = self._awaited(address, data)
        else:
            address, kind, cut = 0, "", True
        if not frames:
            raise MovedError("it is no coroutine, or has ended")
        return Chain(name, tuple(reversed(frames)), address, kind, place, cut)

    def _frame(self, data: bytes, state: int) -> Frame | None:
        """The line at which one stands; None: it has ended."""
        code, instruction, copy = self._at.stands(data, self._layout.frame)
        if not code & ~TAGS:
            return None
        created = state == self._layout.created
        return self._code.first_line(code) if created else self._code.frame(code, instruction, copy)

    def _name(self, data: bytes) -> str:
        """What the coroutine is called, which may differ from its code: a decorator gives it another name."""
        (address,) = struct.unpack_from("<Q", data, self._layout.frame - _QUALIFIED_NAME)
        known = self._names.get(address)
        if known is None:
            known = self._names[address] = self._code.name(address)
        return known

    def _awaits(self, data: bytes) -> bool:
        """Whether it stands at an ``await``, by the argument of the instruction at which it goes on."""
        (instruction,) = struct.unpack_from("<Q", data, self._layout.frame + self._at.instruction)
        return self._memory.read(instruction + 3, 1)[0] & 3 >= 2

    def _awaited(self, address: int, data: bytes) -> int:
        """What the topmost place of a frame's stack holds."""
        frame, layout = self._layout.frame, self._layout
        if layout.locals:
            (count,) = struct.unpack_from("<i", data, frame + layout.stack_pointer)
            at = frame + layout.locals + 8 * count - layout.awaited
        else:
            (top,) = struct.unpack_from("<Q", data, frame + layout.stack_pointer)
            at = top - layout.awaited - address
        if not 0 < at < _LARGEST:
            raise MovedError("its stack is elsewhere")
        if at + 8 <= len(data):
            found: int = struct.unpack_from("<Q", data, at)[0]
            return found & ~TAGS
        return self._memory.pointer(address + at) & ~TAGS

    def type_of(self, data: bytes) -> str:
        """The name of the type of the object that begins with ``data``.  Raises MovedError."""
        return self._type_name(struct.unpack_from("<Q", data, self._at.head - 8)[0])

    def _type_name(self, kind: int) -> str:
        known = self._types.get(kind)
        if known is None:
            known = self._types[kind] = self._memory.c_string(
                self._memory.pointer(kind + self._layout.type_name)
            )
        return known


def _wraps(frame: Frame) -> bool:
    """Whether it is a library's, which runs what was handed to it."""
    return frame.function in _WRAPPING and plumbing.runs_tasks(frame.file, frame.origin)
