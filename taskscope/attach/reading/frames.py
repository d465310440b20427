"""Lines at which threads of another process stand, and which thread has the GIL, read from its memory.

Nothing is run in the process, and nothing written.  It goes on meanwhile: what is inconsistent is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.attach.reading.code_objects import CodeObjects
from taskscope.attach.reading.layout import layout_of, python_of
from taskscope.attach.reading.memory import Memory, MovedError

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
class Stacks:
    """``last``: the thread that had the GIL last, ``locked``: it, or one that is just taking it, has it now.

    ``switches``: how often the GIL has gone from one thread to another.
    """

    last: int
    locked: bool
    switches: int
    threads: tuple[ThreadStack, ...]

    @property
    def holder(self) -> int:
        """The thread that has the GIL; 0: none."""
        return self.last if self.locked else 0

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
        last, locked, switches = self._gil()
        threads = tuple(self._threads(self.memory.pointer(self.address + self.layout.threads)))
        native = next((each.native for each in threads if each.state == last), 0)
        return Stacks(native, locked, switches, threads)

    def holder(self) -> tuple[int, int]:
        """The thread that has the GIL, 0 if none, and how often it had changed hands.  Raises MovedError."""
        last, locked, switches = self._gil()
        return self.memory.pointer(last + self.layout.native) if last and locked else 0, switches

    def _gil(self) -> tuple[int, bool, int]:
        """The state of the thread that had it last, whether one has it now, how often it changed hands."""
        layout, memory = self.layout, self.memory
        gil = self.address if layout.owner else self.python.runtime
        locked = int.from_bytes(memory.read(gil + layout.locked, 4), "little", signed=True)
        return memory.pointer(gil + layout.holder), locked > 0, memory.pointer(gil + layout.switches)

    def _threads(self, state: int) -> Iterator[ThreadStack]:
        layout, memory = self.layout, self.memory
        for _ in range(MOST_THREADS):
            if not state:
                return
            try:
                native, ident = memory.pointer(state + layout.native), memory.pointer(state + layout.ident)
                following = memory.pointer(state + layout.next)
            except MovedError:
                return  # the thread has ended
            found = tuple(self._frames(state))
            yield ThreadStack(
                state, ident, native, tuple(frame for _, frame in found), tuple(place for place, _ in found)
            )
            state = following

    def _frames(self, state: int) -> Iterator[tuple[int, Frame]]:
        layout, memory = self.layout, self.memory
        try:
            place = memory.pointer(state + layout.cframe) if layout.cframe else state
            frame = memory.pointer(place + layout.current)
            for _ in range(MOST_FRAMES):
                if not frame:
                    return
                if not layout.owner or memory.read(frame + layout.owner, 1)[0] < _OF_C:
                    code, instruction = (
                        memory.pointer(frame + at) for at in (layout.code, layout.instruction)
                    )
                    yield frame, self.code.frame(code, instruction)
                frame = memory.pointer(frame + layout.previous)
        except MovedError:
            return  # it has moved on
