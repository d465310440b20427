"""Where asyncio keeps its tasks, as its C module tells from Python 3.14 on for readers from outside.

The table has no name that is exported, and its section is listed only in the file, which may be deleted,
replaced, or another one here.  So it is searched for in the module's data: it holds the sizes of structures
that the interpreter tells as well.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from taskscope.attach import procfs
from taskscope.attach.reading.memory import MOST_DATA
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.attach.reading.memory import Memory

_TABLE = struct.Struct("<13Q")
_BEFORE = 7 * 8
"""Bytes of the table before the size of an interpreter's structure."""

_LARGEST_TASK = 1024
_MODULE = "/_asyncio."

MOST_SEARCHED, MOST_FOUND = 16 << 20, 1_000
"""Bytes of data searched, and places in a megabyte of it that are looked at."""


@dataclass(frozen=True, slots=True)
class AsyncioLayout:
    """Offsets in bytes, in the order of the table."""

    size: int  # of a task
    name: int  # in a task, as the following
    awaited_by: int
    is_task: int
    awaited_by_is_set: int
    coroutine: int
    node: int
    interpreter_size: int
    tasks_of_interpreter: int
    thread_size: int
    running_loop: int  # in a thread's state, as the following
    running_task: int
    tasks_of_thread: int

    @property
    def plausible(self) -> bool:
        in_task = (self.name, self.awaited_by, self.coroutine, self.node, self.node + 8)
        flags = (self.is_task, self.awaited_by_is_set)
        in_thread = (self.running_loop, self.running_task, self.tasks_of_thread + 8)
        return (
            0 < self.size <= _LARGEST_TASK
            and all(16 <= each <= self.size - 8 for each in in_task)
            and all(16 <= each < self.size for each in flags)
            and 16 <= self.tasks_of_interpreter < self.interpreter_size
            and all(0 < each < self.thread_size < MOST_DATA for each in in_thread)
        )


def asyncio_of(memory: Memory, interpreter_size: int, python: str) -> AsyncioLayout | None:
    """The table; None: asyncio is not loaded, or does not tell.  Raises OSError.

    ``python``: the file of the interpreter, in which it may be built in.
    """
    wanted, left = struct.pack("<Q", interpreter_size), MOST_SEARCHED
    for module in _MODULE, python:
        for start, end in _data(memory.pid, module):
            for at in range(start, min(end, start + left), MOST_DATA - _TABLE.size):
                found = _searched(memory, at, min(end - at, MOST_DATA), wanted)
                if found is not None:
                    return found
            left -= end - start
    return None


def _data(pid: int, name: str) -> list[tuple[int, int]]:
    """Where the data of loaded files with this in their path is, written to or not."""
    return [
        (each.start, each.end)
        for each in procfs.maps(pid)
        if each.path.startswith("/") and not each.executable and name in each.path
    ]


def _searched(memory: Memory, start: int, size: int, wanted: bytes) -> AsyncioLayout | None:
    data = memory.read(start, size)
    at = -1
    for _ in range(MOST_FOUND):
        at = data.find(wanted, at + 1)
        if at < 0:
            break
        if at >= _BEFORE and at % 8 == 0 and at - _BEFORE + _TABLE.size <= len(data):
            found = AsyncioLayout(*_TABLE.unpack_from(data, at - _BEFORE))
            if found.plausible:
                return found
    return None
