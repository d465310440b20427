"""Where CPython keeps the fields that are read from outside.

Of 3.11 and 3.12 the offsets are known here, the same in all of their releases.  From 3.13 on the process
tells them (``_Py_DebugOffsets``); known is in which order, up to 3.15.  Without a GIL (from 3.14 on)
objects have a larger head, and a function has a copy of its instructions for each thread that runs it.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.attach import procfs
from taskscope.attach.elf import ElfError
from taskscope.attach.loaded import Loaded
from taskscope.attach.reading.memory import MovedError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.attach.reading.memory import Memory


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in bytes."""

    interpreter: int  # in _PyRuntime
    holder: int  # the state of the thread that has the GIL: in an interpreter, in 3.11 in _PyRuntime
    threads: int  # in an interpreter
    next: int  # in a thread's state, as the following three
    ident: int
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
    head: int = 16  # bytes of an object before its own fields; its type is the last of them
    copies: int = 0  # in a code object: its instructions by thread; 0: they have none
    copy: int = 0  # in a frame: which of them it runs
    text: int = 24  # in a string of ASCII, from the end of its head
    wide_text: int = 40  # in any other
    cframe: int = 0  # in a thread's state; 0: there are none
    asked: int = 24  # bit 0: others ask for the GIL; in its holder's state, up to 3.12 in an interpreter
    others: int = 0  # in an interpreter: the next one

    @property
    def plausible(self) -> bool:
        """Whether what is read at once contains the fields that are looked up in it."""
        in_code = max(self.file, self.name, self.lines, self.first_line)
        return (
            in_code + 8 <= self.instructions <= _CODE
            and 16 <= self.head <= _LARGEST_HEAD
            and self.frame <= _FRAME
        )

    @property
    def free_threaded(self) -> bool:
        """Whether it is a build without a GIL, which may have one nevertheless: `enabled`."""
        return self.copies != 0

    @property
    def enabled(self) -> int:
        """Whether threads take the GIL, in such a build: where its holder is."""
        return self.holder - 16

    @property
    def frame(self) -> int:
        """Bytes of a frame that hold all of these fields."""
        return max(self.code, self.previous, self.instruction, self.owner, self.copy) + 8

    def stands(self, data: bytes, frame: int = 0) -> tuple[int, int, int]:
        """Where the frame stands that is at ``frame`` in ``data``: its code object, instruction and copy."""
        code, instruction = (
            struct.unpack_from("<Q", data, frame + at)[0] for at in (self.code, self.instruction)
        )
        copy = struct.unpack_from("<i", data, frame + self.copy)[0] if self.copies else 0
        return code, instruction, copy

    @property
    def kind(self) -> int:
        """The bits of a string's state before those that tell how wide its characters are."""
        return 8 if self.free_threaded else 2

    @property
    def locked(self) -> int:
        """Whether any thread has the GIL: where its holder is."""
        return self.holder + 8

    @property
    def switches(self) -> int:
        """How often the GIL has gone from one thread to another: likewise."""
        return self.holder + 16


@dataclass(frozen=True, slots=True)
class CoroutineLayout:
    """Where coroutines, and what they wait for, have their fields; offsets in bytes."""

    interpreter_size: int
    stack_pointer: int  # in a frame
    type_name: int
    set_table: int
    set_mask: int
    digits: int  # in a whole number
    size: int  # of a coroutine
    frame: int  # in a coroutine, as the following
    state: int
    awaited: int  # from the top of a frame's stack
    created: int  # what the state is before the start, at an ``await``, and while it runs
    awaiting: int
    running: int
    locals: int = 0  # in a frame; its ``stack_pointer`` counts from there, 0: it is an address
    also_yields: int = 0  # whether the state is the same at a ``yield``

    def plausible(self, layout: Layout) -> bool:
        """Likewise."""
        in_frame = max(layout.code, layout.instruction, layout.copy, self.stack_pointer) + 8
        return (
            self.state < self.frame
            and self.frame + in_frame <= self.size
            and layout.head <= self.digits <= _LARGEST_HEAD
        )


@dataclass(frozen=True, slots=True)
class _Version:
    """Which numbers of ``_Py_DebugOffsets`` are the fields of a layout, and of coroutines.

    ``awaited``: the last fields of those, which are not told.  Without coroutines only builds with a GIL are
    known.
    """

    places: tuple[int, ...]
    coroutines: tuple[int, ...] = ()
    awaited: tuple[int, ...] = ()


_KNOWN = {
    (3, 11): Layout(
        *(40, 368, 16, 8, 152, 160, 8, 32, 48, 56, 0, 112, 128, 136, 72, 184),
        text=32,
        wide_text=56,
        cframe=56,
        asked=104,
    ),
    (3, 12): Layout(40, 1048, 72, 8, 136, 144, 0, 0, 8, 56, 70, 112, 128, 136, 68, 192, cframe=56, asked=372),
}

_TOLD = {
    (3, 13): _Version((5, 18, 9, 21, 24, 25, 23, 30, 29, 31, 33, 35, 37, 38, 39, 43)),
    (3, 14): _Version(
        (5, 19, 9, 24, 27, 28, 26, 33, 32, 34, 36, 40, 42, 43, 44, 48, 50, 49, 38),
        (6, 37, 53, 64, 65, 73, 83, 85, 86),
        (8, -3, -1, 0),
    ),
    (3, 15): _Version(
        (5, 19, 9, 24, 30, 31, 26, 41, 40, 42, 44, 48, 50, 51, 52, 56, 58, 57, 46),
        (6, 45, 61, 76, 77, 85, 99, 101, 102),
        (16, 0, 2, 4),
    ),
}

_COOKIE, _MOST_PLACES = b"xdebugpy", 104

_OTHERS = 8
"""The number that tells where an interpreter has the next one, in all versions that tell."""

_LARGEST, _CODE, _FRAME, _LARGEST_HEAD = 1 << 20, 1024, 512, 64
"""Bytes: no structure is larger, nor the fields of a code object, of a frame, nor the head of an object."""


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter of a process: the address of ``_PyRuntime``, its version (as in ``sys``) and file."""

    runtime: int
    version: tuple[int, int, int]
    file: str = ""


def python_of(memory: Memory) -> Python | None:
    """None: none exports its symbols, or it is older than 3.11.  Raises OSError."""
    pid, exported = memory.pid, ("_PyRuntime", "Py_Version")
    found = Loaded(memory.read_if_there, procfs.maps(pid), procfs.executable(pid)).python(exported)
    if found is None:
        return None
    file, image = found
    try:
        runtime, version = (image.symbol(name) or 0 for name in exported)
    except ElfError:
        raise MovedError("it is being unloaded") from None
    code = int.from_bytes(memory.read(version, 4), "little")
    return Python(runtime, (code >> 24, code >> 16 & 0xFF, code >> 8 & 0xFF), file)


def layout_of(python: Python, memory: Memory) -> Layout | None:
    """None: unknown.  Raises OSError."""
    minor = python.version[:2]
    known, version = _KNOWN.get(minor), _TOLD.get(minor)
    if known is not None or version is None:
        return known
    told = _told(python, memory, version, (*version.places, _OTHERS))
    found = replace(Layout(*told[:-1]), others=told[-1]) if told else None
    return found if found is not None and found.plausible else None


def coroutines_of(python: Python, memory: Memory, layout: Layout) -> CoroutineLayout | None:
    """None: this version does not tell.  Raises OSError."""
    version = _TOLD.get(python.version[:2])
    if version is None or not version.coroutines:
        return None
    told = _told(python, memory, version, version.coroutines)
    found = CoroutineLayout(*told, *version.awaited) if told else None
    return found if found is not None and found.plausible(layout) else None


def _told(
    python: Python, memory: Memory, version: _Version, places: tuple[int, ...]
) -> tuple[int, ...] | None:
    told = struct.unpack(f"<8s{_MOST_PLACES - 1}Q", memory.read(python.runtime, 8 * _MOST_PLACES))
    if told[0] != _COOKIE or told[1] >> 16 != python.version[0] << 8 | python.version[1]:
        return None
    if told[2] and not version.coroutines:
        return None  # without a GIL
    found = tuple(told[each] for each in places)
    return found if max(found) < _LARGEST else None
