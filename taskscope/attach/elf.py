"""Addresses of a loaded library's exported functions, read from the process's memory.

The file on disk is not used: it may be deleted, replaced by an upgrade, or in another mount namespace.  The
mapped image is what will be called.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from taskscope.attach.procfs import PAGE
from taskscope.values import dataclass

PT_LOAD, PT_DYNAMIC = 1, 2
PF_X = 1
DT_STRTAB, DT_SYMTAB, DT_GNU_HASH = 5, 6, 0x6FFFFEF5
MACHINE_AT = 18
_SYMBOL_SIZE = 24
_CHAIN_STEP = 64
_LONGEST_CHAIN = 4096
_FUNCTIONS = (2, 10)
"""Types of a symbol: a function, and one that is chosen at start."""

_MOST_SYMBOLS, _LONGEST_NAME = 40_000, 64
_MOST_SEGMENTS, _MOST_DYNAMIC = 64, 1 << 16
"""Segments, and bytes; the interpreter has a dozen, and takes about 600.  The process may have written
anything there."""

Reader = Callable[[int, int], bytes]
"""``read(address, size)`` of the process's memory; raises OSError."""


class ElfError(Exception):
    """The image's symbols cannot be looked up."""


@dataclass(frozen=True, slots=True)
class Segment:
    kind: int
    flags: int
    address: int
    size: int


class Image:
    """One loaded 64-bit ELF file, mapped from ``base`` on.  Raises ElfError, OSError."""

    def __init__(self, read: Reader, base: int) -> None:
        self._reader = read
        header = self._read(base, 64)
        if header[:6] != b"\x7fELF\x02\x01":
            raise ElfError("not a 64-bit little-endian ELF image")
        self.machine: int = struct.unpack_from("<H", header, MACHINE_AT)[0]
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        if count > _MOST_SEGMENTS:
            raise ElfError("it has too many segments")
        segments = [_segment(self._read(base + table + size * index, 56)) for index in range(count)]
        loaded = [segment for segment in segments if segment.kind == PT_LOAD]
        if not loaded:
            raise ElfError("nothing is loaded from it")
        self._bias = base - (min(segment.address for segment in loaded) & -PAGE)
        self.text = tuple(
            range(segment.address + self._bias, segment.address + self._bias + segment.size)
            for segment in loaded
            if segment.flags & PF_X
        )
        dynamic = next((segment for segment in segments if segment.kind == PT_DYNAMIC), None)
        if dynamic is None:
            raise ElfError("it is linked statically")
        self._tables = self._dynamic(dynamic)

    def _read(self, address: int, size: int) -> bytes:
        """Exactly ``size`` bytes.  Raises ElfError if the image is malformed, OSError."""
        if not 0 <= address < 1 << 63:
            raise ElfError("it points outside of memory")
        data = self._reader(address, size)
        if len(data) != size:
            raise ElfError("it ends too early")
        return data

    def _dynamic(self, segment: Segment) -> dict[int, int]:
        data = self._read(segment.address + self._bias, min(segment.size, _MOST_DYNAMIC))
        tables = {}
        for tag, value in struct.iter_unpack("<qQ", data[: len(data) & ~15]):
            if tag in (DT_STRTAB, DT_SYMTAB, DT_GNU_HASH):
                # glibc relocates these entries in place, musl does not.
                tables[tag] = value if value > self._bias else value + self._bias
        if len(tables) < 3:
            raise ElfError("it has no table of exported symbols")
        return tables

    def symbol(self, name: str) -> int | None:
        """Address of an exported function or variable; None if there is none of that name."""
        wanted = name.encode()
        code = _gnu_hash(wanted)
        table = self._tables[DT_GNU_HASH]
        buckets, first, bloom, _ = struct.unpack("<4I", self._read(table, 16))
        start = table + 16 + 8 * bloom
        if not buckets:
            return None
        (index,) = struct.unpack("<I", self._read(start + 4 * (code % buckets), 4))
        if index < first:
            return None
        chains = start + 4 * buckets
        for step in range(0, _LONGEST_CHAIN, _CHAIN_STEP):
            chain = self._read(chains + 4 * (index + step - first), 4 * _CHAIN_STEP)
            for place, (entry,) in enumerate(struct.iter_unpack("<I", chain[: len(chain) & ~3])):
                if entry | 1 == code | 1:
                    found = self._named(index + step + place, wanted)
                    if found is not None:
                        return found
                if entry & 1:
                    return None
        return None

    def function_at(self, address: int) -> str:
        """The exported function that an instruction belongs to; "" if it is none's."""
        table, texts = self._tables[DT_SYMTAB], self._tables[DT_STRTAB]
        size = min(texts - table, _MOST_SYMBOLS * _SYMBOL_SIZE)  # the texts follow the symbols
        entries = self._read(table, max(0, size - size % _SYMBOL_SIZE))
        best = 0, 0
        for text, info, _, section, value, length in struct.iter_unpack("<IBBHQQ", entries):
            if section and info & 15 in _FUNCTIONS and value > best[0]:
                begin = value + self._bias
                if begin <= address < begin + length:
                    best = value, text
        if not best[0]:
            return ""
        name = self._reader(texts + best[1], _LONGEST_NAME).partition(b"\0")[0]
        return "".join(each if each.isprintable() else "?" for each in name.decode("ascii", "replace"))

    def _named(self, index: int, wanted: bytes) -> int | None:
        entry = self._read(self._tables[DT_SYMTAB] + _SYMBOL_SIZE * index, _SYMBOL_SIZE)
        text, _, _, section, value, _ = struct.unpack("<IBBHQQ", entry)
        name = self._read(self._tables[DT_STRTAB] + text, len(wanted) + 1)
        return value + self._bias if section and name == wanted + b"\0" else None


def _segment(data: bytes) -> Segment:
    kind, flags, _, address, _, _, size, _ = struct.unpack("<IIQQQQQQ", data)
    return Segment(kind, flags, address, size)


def _gnu_hash(name: bytes) -> int:
    code = 5381
    for byte in name:
        code = (code * 33 + byte) & 0xFFFFFFFF
    return code
