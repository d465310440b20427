"""Lines at which threads of another process stand, read from its memory without running anything in it.

So far of CPython 3.11, whose structures are the same in all of its releases; of others nothing is told.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import elf, procfs
from taskscope.model import Frame
from taskscope.wire import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.elf import Reader

MOST_THREADS, MOST_FRAMES, MOST_TEXT = 500, 64, 4096
"""The process may have written anything: every chain and every text is bounded."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Offsets in bytes."""

    interpreter: int  # in _PyRuntime
    holder: int  # in _PyRuntime: the state of the thread that has the GIL
    threads: int  # in an interpreter
    next: int  # in a thread's state, as the following two
    native: int
    cframe: int
    current: int  # in a C frame
    code: int  # in a frame, as the following two
    previous: int
    instruction: int
    file: int  # in a code object, as the following
    name: int
    lines: int
    first_line: int
    instructions: int
    length: int  # in a string or bytes object
    state: int  # in a string
    text: int
    data: int  # in a bytes object


_LAYOUTS = {
    (3, 11): _Layout(
        interpreter=40,
        holder=368,
        threads=16,
        next=8,
        native=160,
        cframe=56,
        current=8,
        code=32,
        previous=48,
        instruction=56,
        file=112,
        name=128,
        lines=136,
        first_line=72,
        instructions=184,
        length=16,
        state=32,
        text=48,
        data=32,
    )
}
_ASCII = 0b1100000  # compact, and ASCII


@dataclass(frozen=True, slots=True)
class Stacks:
    """``holder``: the thread that has the GIL; 0: none.  ``lines``: by thread, innermost first."""

    holder: int
    lines: dict[int, tuple[Frame, ...]]


def read(pid: int, version: tuple[int, ...]) -> Stacks | None:
    """The stacks of all threads, by the process's own thread ids; None: this version is not known.

    They may change meanwhile: what is inconsistent is left out.
    """
    layout = _LAYOUTS.get((version[0], version[1]))
    if layout is None:
        return None
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:

            def at(address: int, size: int) -> bytes:
                return os.pread(memory.fileno(), size, address)

            runtime = _runtime(pid, at)
            return _Process(at, layout).stacks(runtime) if runtime else None
    except (OSError, OverflowError, struct.error, elf.ElfError):
        return None


def _runtime(pid: int, read: Reader) -> int:
    """The address of ``_PyRuntime``; 0: not exported."""
    for mapping in procfs.maps(pid):
        if mapping.path.startswith("/") and mapping.offset == 0 and "python" in mapping.path:
            try:
                found = elf.Image(read, mapping.start).symbol("_PyRuntime")
            except (elf.ElfError, OSError):
                continue
            if found:
                return found
    return 0


class _Process:
    def __init__(self, read: Reader, layout: _Layout) -> None:
        self._read = read
        self._layout = layout

    def stacks(self, runtime: int) -> Stacks:
        layout = self._layout
        state = self._pointer(self._pointer(runtime + layout.interpreter) + layout.threads)
        holder = self._pointer(runtime + layout.holder)
        lines: dict[int, tuple[Frame, ...]] = {}
        has = 0
        for _ in range(MOST_THREADS):
            if not state:
                break
            native = self._pointer(state + layout.native)
            lines[native] = tuple(self._frames(state))
            has = native if state == holder else has
            state = self._pointer(state + layout.next)
        return Stacks(has, lines)

    def _frames(self, state: int) -> Iterator[Frame]:
        layout = self._layout
        try:
            frame = self._pointer(self._pointer(state + layout.cframe) + layout.current)
            for _ in range(MOST_FRAMES):
                if not frame:
                    break
                yield self._frame(frame)
                frame = self._pointer(frame + layout.previous)
        except (OSError, OverflowError, ValueError, IndexError, struct.error):
            return  # it has moved on

    def _frame(self, frame: int) -> Frame:
        layout = self._layout
        code = self._pointer(frame + layout.code)
        place = self._pointer(frame + layout.instruction) - (code + layout.instructions)
        (first,) = struct.unpack("<i", self._read(code + layout.first_line, 4))
        table = self._bytes(self._pointer(code + layout.lines))
        return Frame(
            self._string(self._pointer(code + layout.file)),
            line_of(table, first, place),
            self._string(self._pointer(code + layout.name)),
        )

    def _pointer(self, address: int) -> int:
        found: int = struct.unpack("<Q", self._read(address, 8))[0]
        return found

    def _string(self, address: int) -> str:
        length, state = (
            self._pointer(address + self._layout.length),
            self._read(address + self._layout.state, 1),
        )
        if state[0] & _ASCII != _ASCII or length > MOST_TEXT:
            return "?"
        return clean_text(self._read(address + self._layout.text, length).decode("ascii", "replace"))

    def _bytes(self, address: int) -> bytes:
        length = self._pointer(address + self._layout.length)
        if length > 1 << 20:
            raise ValueError("too long")
        return self._read(address + self._layout.data, length)


def line_of(table: bytes, first: int, place: int) -> int:
    """The line of the instruction at ``place``, by the table of a code object; the same format from 3.11 on.

    Not read by the interpreter, which trusts it.  Raises IndexError if it is cut off.
    """
    at, line, offset = 0, first, 0
    while at < len(table):
        kind, length = table[at] >> 3 & 15, 2 * ((table[at] & 7) + 1)
        at += 1
        if kind < _ONE_LINE:
            at += 1
        elif kind < _NO_COLUMNS:
            line += kind - _ONE_LINE
            at += 2
        elif kind != _NO_LINE:
            delta, at = _number(table, at)
            line += -(delta >> 1) if delta & 1 else delta >> 1
            for _ in range(3 if kind == _LONG else 0):
                _, at = _number(table, at)
        if offset <= place < offset + length and kind != _NO_LINE:
            return line
        offset += length
    return first


_ONE_LINE, _NO_COLUMNS, _LONG, _NO_LINE = 10, 13, 14, 15


def _number(table: bytes, at: int) -> tuple[int, int]:
    """A number of several bytes of six bits each, lowest first, and where it ends."""
    found = shift = 0
    while True:
        found |= (table[at] & 63) << shift
        at, shift = at + 1, shift + 6
        if not table[at - 1] & 64:
            return found, at
