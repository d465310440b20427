"""Lines at which threads of another process stand, read from its memory without running anything in it.

Of CPython 3.11 and 3.12 the structures are known here, the same in all of their releases.  From 3.13 on the
process tells where its fields are (``_Py_DebugOffsets``); known is in which order, up to 3.15.
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
    holder: int  # the state of the thread that has the GIL: in an interpreter, in 3.11 in _PyRuntime
    threads: int  # in an interpreter
    next: int  # in a thread's state, as the following two
    native: int
    current: int  # up to 3.12 in its C frame
    code: int  # in a frame, as the following three
    previous: int
    instruction: int
    owner: int  # 0: it has none
    file: int  # in a code object, as the following
    name: int
    lines: int
    first_line: int
    instructions: int
    text: int = 40  # in a string
    cframe: int = 0  # in a thread's state; 0: there are none


_LENGTH, _STATE, _DATA = 16, 32, 32
"""Where a string or bytes object has its length, a string what it consists of, bytes their contents."""

_LAYOUTS = {
    (3, 11): _Layout(40, 368, 16, 8, 160, 8, 32, 48, 56, 0, 112, 128, 136, 72, 184, text=48, cframe=56),
    (3, 12): _Layout(40, 1048, 72, 8, 144, 0, 0, 8, 56, 70, 112, 128, 136, 68, 192, cframe=56),
}

_PLACES = {
    (3, 13): (5, 18, 9, 21, 25, 23, 30, 29, 31, 33, 35, 37, 38, 39, 43),
    (3, 14): (5, 19, 9, 24, 28, 26, 33, 32, 34, 36, 40, 42, 43, 44, 48),
    (3, 15): (5, 19, 9, 24, 31, 26, 41, 40, 42, 44, 48, 50, 51, 52, 56),
}
"""Which numbers of ``_Py_DebugOffsets`` are the fields of a layout."""

_COOKIE, _MOST_PLACES = b"xdebugpy", 64

_OF_C = 3
"""Owners of a frame from which on it is one of the interpreter's own, between two calls from C."""

_TAGS = 7
"""Bits of a pointer that say how it is counted."""


def _layout_of(version: tuple[int, ...], runtime: int, read: Reader) -> _Layout | None:
    """None: unknown, as for builds without a GIL.  Raises OSError."""
    known = _LAYOUTS.get((version[0], version[1]))
    places = _PLACES.get((version[0], version[1]))
    if known is not None or places is None:
        return known
    told = struct.unpack(f"<8s{_MOST_PLACES - 1}Q", read(runtime, 8 * _MOST_PLACES))
    free_threaded = told[2] != 0
    if told[0] != _COOKIE or told[1] >> 16 != version[0] << 8 | version[1] or free_threaded:
        return None
    return _Layout(*(told[each] for each in places))


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
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:

            def at(address: int, size: int) -> bytes:
                return os.pread(memory.fileno(), size, address)

            runtime = _runtime(pid, at)
            layout = _layout_of(version, runtime, at) if runtime else None
            return _Process(at, layout).stacks(runtime) if layout is not None else None
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
        interpreter = self._pointer(runtime + layout.interpreter)
        state = self._pointer(interpreter + layout.threads)
        holder = self._pointer((interpreter if layout.owner else runtime) + layout.holder)
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
            place = self._pointer(state + layout.cframe) if layout.cframe else state
            frame = self._pointer(place + layout.current)
            for _ in range(MOST_FRAMES):
                if not frame:
                    break
                if not layout.owner or self._read(frame + layout.owner, 1)[0] < _OF_C:
                    yield self._frame(frame)
                frame = self._pointer(frame + layout.previous)
        except (OSError, OverflowError, ValueError, IndexError, struct.error):
            return  # it has moved on

    def _frame(self, frame: int) -> Frame:
        layout = self._layout
        code = self._pointer(frame + layout.code) & ~_TAGS
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
        length, state = self._pointer(address + _LENGTH), self._read(address + _STATE, 1)
        if state[0] & _ASCII != _ASCII or length > MOST_TEXT:
            return "?"
        return clean_text(self._read(address + self._layout.text, length).decode("ascii", "replace"))

    def _bytes(self, address: int) -> bytes:
        length = self._pointer(address + _LENGTH)
        if length > 1 << 20:
            raise ValueError("too long")
        return self._read(address + _DATA, length)


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
