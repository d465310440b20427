"""Lines at which threads of another process stand, and which thread has the GIL, read from its memory.

Nothing is run in the process, and nothing written.  It goes on meanwhile: what is inconsistent is left out.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import TYPE_CHECKING

from taskscope.attach.reading.code_objects import CodeObjects
from taskscope.attach.reading.layout import layout_of, python_of
from taskscope.attach.reading.memory import AbsentError, Memory, MovedError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.layout import Layout, Python
    from taskscope.model import Frame

MOST_INTERPRETERS, MOST_THREADS, MOST_FRAMES = 100, 20_000, 64
"""The process may have written anything: every chain is bounded."""

TRIES = 10
"""Times that a list of threads is followed: they come and go."""

_SHIM = "__init__"
"""The file of the frame by which the interpreter often calls ``__init__``, from Python 3.13 on."""

_OF_C = 3
"""Owners of a frame from which on it is one of the interpreter's own, between two calls from C."""


@dataclass(frozen=True, slots=True)
class ThreadStack:
    """``native``: its id as the process numbers it.  ``frames``: innermost first.

    Addresses: ``states``, the records of it, one in each interpreter; ``places``, those of the frames.
    """

    states: tuple[int, ...]
    ident: int
    native: int
    frames: tuple[Frame, ...]
    places: tuple[int, ...]

    def within(self, outer: ThreadStack) -> ThreadStack:
        """With what an older interpreter has of the same thread, which called this one."""
        return ThreadStack(
            self.states + outer.states,
            self.ident,
            self.native,
            self.frames + outer.frames,
            self.places + outer.places,
        )

    @property
    def runs_loop(self) -> bool:
        """Whether it runs an event loop of asyncio."""
        return any(each.function == "BaseEventLoop.run_forever" for each in self.frames)


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
    """The threads of all interpreters, and which of them has the GIL of the main one."""

    gil: Gil
    threads: tuple[ThreadStack, ...]

    @property
    def holder(self) -> int:
        """The thread that has the GIL, as the process numbers it; 0: none."""
        return next((each.native for each in self.threads if self.gil.state in each.states), 0)

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
    """The interpreters of a process: the main one, and those that it has made besides."""

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
        if python is None or layout is None:
            return None
        found = cls(memory, layout, python)
        return found if found.address else None

    @property
    def address(self) -> int:
        """The main one follows the newest; how many there have been follows both.  Raises MovedError."""
        newest = self.python.runtime + self.layout.interpreter
        main = self.memory.pointer(newest + 8)
        if not main:
            does = "has ended in" if self.memory.number(newest + 16) > 0 else "has not started yet in"
            raise AbsentError(f"Python {does} process {self.memory.pid}, which is still there")
        return main

    def addresses(self) -> tuple[int, ...]:
        """Those of all, newest first.  Raises MovedError."""
        found: list[int] = []
        address = self.memory.pointer(self.python.runtime + self.layout.interpreter)
        while address and len(found) < MOST_INTERPRETERS:
            found.append(address)
            address = self.memory.pointer(address + self.layout.others)
        return tuple(found)

    def stacks(self) -> Stacks:
        """What all threads do now.  Raises MovedError."""
        self.code.look_again()
        gil, found = self.gil(), dict[int, ThreadStack]()
        for state in itertools.islice(self._records(), MOST_THREADS):
            with contextlib.suppress(MovedError):  # the thread has ended
                each = self.stack(state)
                inner = found.get(each.native)
                found[each.native] = inner.within(each) if inner is not None else each
        return Stacks(gil, tuple(found.values()))

    def gil(self) -> Gil:
        """Who has it now.  Raises MovedError."""
        layout, memory, main = self.layout, self.memory, self.address
        gil = main if layout.owner else self.python.runtime
        off = layout.free_threaded and not memory.number(gil + layout.enabled)
        last, locked = memory.pointer(gil + layout.holder), memory.number(gil + layout.locked)
        holder = last if locked > 0 and not off else 0
        told = main if layout.cframe else holder
        asked = holder != 0 and memory.read(told + layout.asked, 1)[0] & 1 != 0
        return Gil(holder, memory.pointer(gil + layout.switches), off, asked)

    def stack(self, state: int) -> ThreadStack:
        """One thread, by the interpreter's record of it.  Raises MovedError."""
        layout, memory = self.layout, self.memory
        native, ident = memory.pointer(state + layout.native), memory.pointer(state + layout.ident)
        found = tuple(self._frames(state))
        frames, places = tuple(frame for _, frame in found), tuple(place for place, _ in found)
        return ThreadStack((state,), ident, native, frames, places)

    def place(self, state: int) -> tuple[int, int]:
        """The innermost frame of a thread and the instruction at which that stands.  Raises MovedError."""
        layout, memory = self.layout, self.memory
        place = memory.pointer(state + layout.cframe) if layout.cframe else state
        frame = memory.pointer(place + layout.current)
        return frame, memory.pointer(frame + layout.instruction) if frame else 0

    def _records(self) -> Iterator[int]:
        """Those of the threads of all interpreters, newest first.  Raises MovedError."""
        for interpreter in self.addresses():
            yield from self._listed(interpreter)

    def _listed(self, interpreter: int) -> list[int]:
        """Those of one interpreter; some are missing if its list never stands still."""
        most: list[int] = []
        for _ in range(TRIES):
            found, whole = self._followed(self.memory.pointer(interpreter + self.layout.threads))
            most = max(most, found, key=len)
            if whole:
                break
        return most

    def _followed(self, state: int) -> tuple[list[int], bool]:
        """The records from one on, and whether that is all: each points back to the one before it."""
        found: list[int] = []
        before = 0
        while state and len(found) < MOST_THREADS:
            try:
                back, following = struct.unpack("<2Q", self.memory.read(state + self.layout.next - 8, 16))
            except MovedError:
                return found, False
            if back != before:
                return found, False
            found.append(state)
            before, state = state, following
        return found, True

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
                    found = self.code.frame(*layout.stands(data))
                    if found.file != _SHIM:
                        yield frame, found
                (frame,) = struct.unpack_from("<Q", data, layout.previous)
        except MovedError:
            return  # it has moved on
