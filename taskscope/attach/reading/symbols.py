"""The name of the native function that a waiting thread is in."""

from __future__ import annotations

import struct
from pathlib import PurePath
from typing import TYPE_CHECKING

from taskscope.attach import elf, procfs
from taskscope.attach.reading.memory import MovedError

if TYPE_CHECKING:
    from taskscope.attach.procfs import Mapping
    from taskscope.attach.reading.memory import Memory

_WORDS = 48
"""Words of a stack that are searched for the caller: newer C libraries enter the kernel in functions of their
own, which have no names, two or three calls below the one that the program knows."""

_LIBC = ("libc.so", "libc-", "libpthread")


def function_at(memory: Memory, instruction: int, stack: int) -> str:
    """``pause``; of another library than libc, ``libfoo.so`` if it tells no names; "" if nothing is known.

    Raises OSError.
    """
    images = _Images(memory)
    found = images.function(instruction)
    if not found:
        data = memory.read_most(stack, 8 * _WORDS, 0)
        for (word,) in struct.iter_unpack("<Q", data[: len(data) & ~7]):
            if images.same(word, instruction) and _is_after_call(memory, word):
                found = images.function(word)
            if found:
                break
    file = PurePath(images.path(instruction)).name
    return found or ("" if file.startswith(_LIBC) else file)


class _Images:
    """The files that a process has loaded."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._maps = procfs.maps(memory.pid)

    def same(self, one: int, other: int) -> bool:
        """Whether both are code of the same file."""
        return self.path(one) == self.path(other) != ""

    def path(self, address: int) -> str:
        """The file whose code is there; "" if it is none's."""
        here = self._mapping(address)
        return here.path if here is not None else ""

    def function(self, address: int) -> str:
        here = self._mapping(address)
        if here is None:
            return ""
        base = next(each.start for each in self._maps if each.path == here.path)
        try:
            return elf.Image(self._memory.read, base).function_at(address)
        except (elf.ElfError, OSError):
            return ""

    def _mapping(self, address: int) -> Mapping | None:
        return next(
            (
                each
                for each in self._maps
                if each.executable and each.start <= address < each.end and each.path.startswith("/")
            ),
            None,
        )


def _is_after_call(memory: Memory, address: int) -> bool:
    """Whether a call may have put this address on the stack, on x86-64 or arm64."""
    try:
        code = memory.read(address - 8, 8)
    except MovedError:
        return False
    return code[3] == 0xE8 or 0xFF in (code[1], code[2], code[5], code[6]) or code[7] in (0x94, 0x97, 0xD6)
