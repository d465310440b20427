"""Lines at which threads of another process stand, and which thread has the GIL, read from its memory.

Nothing is run in the process, and nothing written.  It goes on meanwhile: what is inconsistent is left out.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from taskscope.attach.reading.code_objects import CodeObjects
from taskscope.attach.reading.layout import layout_of, python_of
from taskscope.attach.reading.memory import Memory, MovedError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.layout import Layout, Python
    from taskscope.model import Frame

MOST_THREADS, MOST_FRAMES = 500, 64
"""The process may have written anything: every chain is bounded."""

_OF_C = 3
"""Owners of a frame from which on it is one of the interpreter's own, between two calls from C."""


@dataclass(frozen=True, slots=True)
class ThreadStack:
    """``native``: its id as the process numbers it.  ``frames``: innermost first.

    Addresses: ``state``, the interpreter's record of it; ``places``, those of the frames.
    """

    state: int
    ident: int
    native: int
    frames: tuple[Frame, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gil:
    """``state``: the record of the thread that has it now; 0: none has.

    ``switches``: how often it has gone from one thread to another.  ``off``: no thread takes it now, in a
    free-threaded build.  ``asked``: others wait for it, and have told its holder, which gives it back as soon
    as it runs bytecode.
    """

    state: int
    switches: int
    off: bool = False
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Stacks:
    """The threads, and which of them has the GIL."""

    gil: Gil
    threads: tuple[ThreadStack, ...]

    @property
    def holder(self) -> int:
        """The thread that has the GIL, as the process numbers it; 0: none."""
        return next((each.native for each in self.threads if each.state == self.gil.state), 0)

    @property
    def lines(self) -> dict[int, tuple[Frame, ...]]:
        """By thread, as the process numbers them."""
        return {each.native: each.frames for each in self.threads}


def read(pid: int) -> Stacks | None:
    """The stacks of all threads, by the process's own thread ids; None: they cannot be read."""
    try:
        with Memory(pid) as memory:
            interpreter = Interpreter.of(memory)
            return interpreter.stacks() if interpreter is not None else None
    except OSError:
        return None


class Interpreter:
    """The main interpreter of a process."""

    def __init__(self, memory: Memory, layout: Layout, python: Python) -> None:
        self.memory = memory
        self.layout = layout
        self.python = python
        self.code = CodeObjects(memory, layout)

    @classmethod
    def of(cls, memory: Memory) -> Interpreter | None:
        """None: it is no CPython, or none of a known version.  Raises OSError."""
        python = python_of(memory)
        layout = layout_of(python, memory) if python is not None else None
        return cls(memory, layout, python) if python is not None and layout is not None else None

    @property
    def address(self) -> int:
        """The main one follows the newest."""
        return self.memory.pointer(self.python.runtime + self.layout.interpreter + 8)

    def stacks(self) -> Stacks:
        """What all threads do now.  Raises MovedError."""
        self.code.look_again()
        return Stacks(self.gil(), tuple(self._threads()))

    def gil(self) -> Gil:
        """Who has it now.  Raises MovedError."""
        layout, memory = self.layout, self.memory
        gil = self.address if layout.owner else self.python.runtime
        off = layout.free_threaded and not memory.number(gil + layout.enabled)
        last, locked = memory.pointer(gil + layout.holder), memory.number(gil + layout.locked)
        holder = last if locked > 0 and not off else 0
        told = self.address if layout.cframe else holder
        asked = holder != 0 and memory.read(told + layout.asked, 1)[0] & 1 != 0
        return Gil(holder, memory.pointer(gil + layout.switches), off, asked)

    def stack(self, state: int) -> ThreadStack:
        """One thread, by the interpreter's record of it.  Raises MovedError."""
        layout, memory = self.layout, self.memory
        native, ident = memory.pointer(state + layout.native), memory.pointer(state + layout.ident)
        found = tuple(self._frames(state))
        frames, places = tuple(frame for _, frame in found), tuple(place for place, _ in found)
        return ThreadStack(state, ident, native, frames, places)

    def place(self, state: int) -> tuple[int, int]:
        """The innermost frame of a thread and the instruction at which that stands.  Raises MovedError."""
        layout, memory = self.layout, self.memory
        place = memory.pointer(state + layout.cframe) if layout.cframe else state
        frame = memory.pointer(place + layout.current)
        return frame, memory.pointer(frame + layout.instruction) if frame else 0

    def _threads(self) -> Iterator[ThreadStack]:
        layout, memory = self.layout, self.memory
        state = memory.pointer(self.address + layout.threads)
        for _ in range(MOST_THREADS):
            if not state:
                return
            try:
                found, following = self.stack(state), memory.pointer(state + layout.next)
            except MovedError:
                return  # the thread has ended
            yield found
            state = following

    def _frames(self, state: int) -> Iterator[tuple[int, Frame]]:
        layout, memory = self.layout, self.memory
        try:
            place = memory.pointer(state + layout.cframe) if layout.cframe else state
            frame = memory.pointer(place + layout.current)
            for _ in range(MOST_FRAMES):
                if not frame:
                    return
                data = memory.read(frame, layout.frame)
                if not layout.owner or data[layout.owner] < _OF_C:
                    yield frame, self.code.frame(*layout.stands(data))
                (frame,) = struct.unpack_from("<Q", data, layout.previous)
        except MovedError:
            return  # it has moved on
