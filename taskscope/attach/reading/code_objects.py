"""Strings and code of another interpreter: from an instruction's address to file, line and function."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from taskscope.attach.reading.memory import MOST_TEXT, Memory, MovedError
from taskscope.model import Frame, plumbing
from taskscope.values import dataclass
from taskscope.wire import clean_text

if TYPE_CHECKING:
    from taskscope.attach.reading.layout import Layout
    from taskscope.model.vocabulary import Origin

TAGS = 7
"""Bits of a pointer that say how it is counted."""

ROOM = 32 << 20
"""Bytes of code, lines and texts that one look reads; twice as many are remembered."""

MOST_LINES = 1 << 18
"""Bytes of a table of lines that are read: of 430,000 functions one had more."""

_LINE, _LAST_LINE = 256, (1 << 31) - 1
"""What a line counts for, in bytes; the number of the last one there can be."""

_STATE, _DATA = 16, 16
"""Where a string has what it consists of, and bytes their contents: from the end of its head, where both
have their length."""

_WIDTH, _COMPACT, _ASCII = 7, 1 << 3, 1 << 4
_ENCODINGS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
_STDLIB = re.compile(r"/lib/python\d[^/]*/")


@dataclass(frozen=True, slots=True)
class _Code:
    """``head``: the object's own bytes, by which it is known again; ``first`` and ``table``: its lines."""

    head: bytes
    file: str
    name: str
    first: int
    table: bytes
    origin: Origin


class CodeObjects:
    """Reads lines of code, and remembers them for as long as the code object is the same."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._kept: dict[int, _Code] = {}
        self._frames: dict[tuple[int, int], Frame] = {}
        self._sure: set[int] = set()
        self._copies: dict[tuple[int, int], int] = {}
        self._left = self._unused = ROOM

    def look_again(self) -> None:
        """Before each look: a code object may have given way to another one at its address."""
        self._sure.clear()
        self._copies.clear()
        self._unused -= ROOM - self._left
        if self._unused < 0:
            self._kept.clear()
            self._frames.clear()
            self._unused = ROOM
        self._left = ROOM

    def frame(self, code: int, instruction: int, copy: int = 0) -> Frame:
        """The line of an instruction in the code object at ``code``.  Raises MovedError.

        ``copy``: of its instructions, in a free-threaded build.
        """
        code &= ~TAGS
        known = self._code(code)
        place = instruction - (self._copy(code, copy) if copy else code + self._layout.instructions)
        found = self._frames.get((code, place))
        if found is None:
            self._memory.go_on()
            self._take(_LINE)
            line = _line(known, place)
            found = self._frames[code, place] = Frame(known.file, line, known.name, known.origin)
        return found

    def first_line(self, code: int) -> Frame:
        """Where the function is defined.  Raises MovedError."""
        known = self._code(code & ~TAGS)
        return Frame(known.file, known.first, known.name, known.origin)

    def text(self, address: int, most: int = MOST_TEXT) -> str:
        """The first ``most`` characters of a string, cleaned; "?" if it is too long.  Raises MovedError."""
        layout = self._layout
        own = address + layout.head
        length = self._memory.pointer(own)
        state = int.from_bytes(self._memory.read(own + _STATE, 2), "little") >> layout.kind
        width = state & _WIDTH
        if not state & _COMPACT or length > MOST_TEXT or width not in _ENCODINGS:
            return "?"
        begin = own + (layout.text if state & _ASCII else layout.wide_text)
        size = min(length, most) * width
        self._take(size)
        data = self._memory.read(begin, size)
        return clean_text(data.decode(_ENCODINGS[width], "replace"))

    def _take(self, size: int) -> None:
        """Raises MovedError if a look would read too much."""
        self._left -= size
        if self._left < 0:
            raise MovedError("there is no more room to read it")

    def _copy(self, code: int, number: int) -> int:
        """Where a copy of the instructions of the code object at ``code`` begins.  Raises MovedError."""
        found = self._copies.get((code, number))
        if found is None:
            copies = self._memory.pointer(code + self._layout.copies)
            if not 0 < number < self._memory.pointer(copies):
                raise MovedError("there is no such copy")
            found = self._copies[code, number] = self._memory.pointer(copies + 8 * (number + 1))
        return found

    def name(self, address: int) -> str:
        """A qualified name, without ``<locals>``.  Raises MovedError."""
        return self.text(address).replace(".<locals>", "")

    def _code(self, address: int) -> _Code:
        known = self._kept.get(address)
        if known is not None and address in self._sure:
            return known
        head = self._memory.read(address, self._layout.instructions)
        if known is None or _identity(known.head, self._layout) != _identity(head, self._layout):
            known = self._read(head)
            if address in self._kept:
                self._frames.clear()
            self._kept[address] = known
        self._sure.add(address)
        return known

    def _read(self, head: bytes) -> _Code:
        layout = self._layout
        (first,) = struct.unpack_from("<i", head, layout.first_line)
        file, name, lines = _identity(head, layout)
        own = lines + layout.head
        size = min(self._memory.pointer(own), MOST_LINES)
        self._take(len(head) + size)
        table = self._memory.read(own + _DATA, size)
        path = self.text(file)
        return _Code(head, path, self.name(name), max(0, first), table, _origin(path))


def _identity(head: bytes, layout: Layout) -> tuple[int, int, int]:
    """Where its file name, its name and its lines are."""
    file, name, lines = (
        struct.unpack_from("<Q", head, at)[0] for at in (layout.file, layout.name, layout.lines)
    )
    return file, name, lines


def _origin(file: str) -> Origin:
    """By the path alone: its interpreter's own folders are not known here."""
    if plumbing.is_in_library(file):
        return "library"
    return "stdlib" if file.startswith("<frozen") or _STDLIB.search(file) else "user"


def _line(code: _Code, place: int) -> int:
    """The line of an instruction; the first one of the function if its table is too long, or lies."""
    try:
        line = line_of(code.table, code.first, place)
    except IndexError:
        return code.first
    return line if 0 <= line <= _LAST_LINE else code.first


def line_of(table: bytes, first: int, place: int) -> int:
    """The line of the instruction at ``place``, by the table of a code object; the same format from 3.11 on.

    Not read by the interpreter, which trusts it.  Raises IndexError if it is cut off, or lies.
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
_MOST_BYTES = 6
"""Of a number of 32 bits."""


def _number(table: bytes, at: int) -> tuple[int, int]:
    """A number of several bytes of six bits each, lowest first, and where it ends."""
    found = 0
    for place in range(_MOST_BYTES):
        byte = table[at + place]
        found |= (byte & 63) << 6 * place
        if not byte & 64:
            return found, at + place + 1
    raise IndexError("it has no end")
