"""Tasks of Python 3.11 to 3.13, which keeps them in a set of weak references and tells nobody where.

The set is found as Python finds it: among the modules, by its name.  The offsets are the same in all releases
of a version.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

from taskscope.attach.reading.layout import CoroutineLayout
from taskscope.attach.reading.memory import MOST_DATA, MovedError
from taskscope.attach.reading.objects import Objects
from taskscope.attach.reading.tasks import MOST_TASKS, TaskFields, TaskReader
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.frames import Interpreter, Stacks

_MODULE = "asyncio.tasks"

_TYPE, _REFERENT = 8, 16
"""Where an object has its type, and a weak reference what it refers to."""

_MOST_PLACES = 4 * MOST_TASKS
TRIES = 3


@dataclass(frozen=True, slots=True)
class _Version:
    """``name``: of the set; ``state``: of a task, as four bytes, 0 while it is not done."""

    name: str
    task: TaskFields
    state: int
    coroutines: CoroutineLayout


_VERSIONS = {
    (3, 11): _Version(
        "_all_tasks",
        TaskFields(176, 144, 136),
        88,
        CoroutineLayout(0, 64, 24, 40, 32, 24, 152, 80, 75, 8, -2, -1, 0, locals=72, also_yields=1),
    ),
    (3, 12): _Version(
        "_scheduled_tasks",
        TaskFields(176, 144, 136),
        88,
        CoroutineLayout(0, 64, 24, 40, 32, 24, 144, 72, 67, 8, -2, -1, 0, locals=72, also_yields=1),
    ),
    (3, 13): _Version(
        "_scheduled_tasks",
        TaskFields(144, 128, 120),
        96,
        CoroutineLayout(0, 64, 24, 40, 32, 24, 144, 72, 67, 8, -3, -1, 0, locals=72),
    ),
}


class WeakTasks(TaskReader):
    """One set for each interpreter that has loaded asyncio."""

    def __init__(self, interpreter: Interpreter, version: _Version, objects: Objects) -> None:
        super().__init__(interpreter, version.coroutines, version.task)
        self._version = version
        self._objects = objects
        self._sets: dict[int, int] = {}

    @classmethod
    def of(cls, interpreter: Interpreter) -> WeakTasks | None:
        """None: asyncio is not loaded (yet), or the version is another one.  Raises OSError."""
        version, objects = _VERSIONS.get(interpreter.python.version[:2]), Objects.of(interpreter)
        if version is None or objects is None or not version.coroutines.plausible(interpreter.layout):
            return None
        found = cls(interpreter, version, objects)
        found._find()
        return found if found._sets else None

    def _find(self) -> None:
        """The sets of all interpreters that are there now.  Raises OSError."""
        before, self._sets = self._sets, {}
        for address in self._interpreter.addresses():
            with contextlib.suppress(MovedError):  # it begins or ends
                found = before.get(address, 0)
                found = found if found and self._is_set(found) else self._set_of(address)
                if found:
                    self._sets[address] = found

    def _set_of(self, address: int) -> int:
        """The set of the interpreter at ``address``; 0: it has not loaded asyncio.  Raises MovedError."""
        found = self._objects.in_module(address, _MODULE, self._version.name)
        data = self._objects.attribute(found, "data") if found else 0
        return data if data and self._is_set(data) else 0

    def _is_set(self, address: int) -> bool:
        kind = self._memory.pointer(self._memory.pointer(address + _TYPE) + self._fields.type_name)
        return self._memory.c_string(kind) == "set"

    def _all(self, stacks: Stacks) -> Iterator[tuple[int, bytes, int]]:
        self._find()
        for data in self._sets.values():
            yield from self._in_set(data)

    def _in_set(self, begin: int) -> Iterator[tuple[int, bytes, int]]:
        for reference in self._references(begin):
            try:
                address = self._memory.pointer(reference + _REFERENT)
                data = self._memory.read(address, self._layout.size)
            except MovedError:
                if self._memory.is_over:
                    return
                continue  # it has just ended
            if struct.unpack_from("<i", data, self._version.state)[0] == 0:
                yield address, data, 0

    def _references(self, address: int) -> list[int]:
        """What the set at ``address`` contains.  Raises MovedError if it does not stand still."""
        for _ in range(TRIES):
            before = self._table(address)
            begin, count = before
            data = b""
            for at in range(begin, begin + 16 * count, MOST_DATA):
                data += self._memory.read(at, min(MOST_DATA, begin + 16 * count - at))
            if self._table(address) == before:
                return [key for key, code in struct.iter_unpack("<Qq", data) if key and code != -1]
        raise MovedError("the set of tasks does not stand still")

    def _table(self, address: int) -> tuple[int, int]:
        """Where a set has its entries, and the number of their places."""
        fields = self._fields
        count = self._memory.pointer(address + fields.set_mask) + 1
        if not 0 < count <= _MOST_PLACES:
            raise MovedError("it is no set")
        return self._memory.pointer(address + fields.set_table), count
