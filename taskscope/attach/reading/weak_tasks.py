"""Tasks of Python 3.11 to 3.13, which keeps them in a set of weak references and tells nobody where.

The set is found as Python finds it: among the modules, by its name.  The offsets are the same in all releases
of a version.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Literal

from taskscope.attach.reading.layout import CoroutineLayout
from taskscope.attach.reading.memory import MOST_DATA, MovedError
from taskscope.attach.reading.tasks import MOST_TASKS, TaskFields, TaskReader
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.frames import Interpreter, Stacks

_MODULE, _MODULE_NAMES = "asyncio.tasks", 16
"""Where a module has the dictionary of its names."""

_SPLIT, _VALUES = 2, 40
"""The kind of a dictionary whose values are apart, and where it has them."""

_KEYS, _INDEX_BYTES, _KIND, _COUNT, _INDEXES = 32, 9, 10, 24, 32
"""Where a dictionary has its keys, and what these begin with."""

_MOST_NAMES = 20_000

_TYPE, _REFERENT = 8, 16
"""Where an object has its type, and a weak reference what it refers to."""

_MOST_PLACES = 4 * MOST_TASKS
TRIES = 3


Form = Literal["apart", "tagged", "inline"]
"""How an object has its attributes: 32 bytes before it is where; 24 bytes, and odd; or they follow it."""


@dataclass(frozen=True, slots=True)
class _Version:
    """``modules``: in an interpreter; ``state``: of a task, as four bytes, 0 while it is not done."""

    modules: int
    name: str
    task: TaskFields
    state: int
    coroutines: CoroutineLayout
    form: Form


_VERSIONS = {
    (3, 11): _Version(
        888,
        "_all_tasks",
        TaskFields(176, 144, 136),
        88,
        CoroutineLayout(0, 64, 24, 40, 32, 24, 152, 80, 75, 8, -2, -1, 0, locals=72, also_yields=1),
        "apart",
    ),
    (3, 12): _Version(
        944,
        "_scheduled_tasks",
        TaskFields(176, 144, 136),
        88,
        CoroutineLayout(0, 64, 24, 40, 32, 24, 144, 72, 67, 8, -2, -1, 0, locals=72, also_yields=1),
        "tagged",
    ),
    (3, 13): _Version(
        7656,
        "_scheduled_tasks",
        TaskFields(144, 128, 120),
        96,
        CoroutineLayout(0, 64, 24, 40, 32, 24, 144, 72, 67, 8, -3, -1, 0, locals=72),
        "inline",
    ),
}


class WeakTasks(TaskReader):
    """One set for each interpreter that has loaded asyncio."""

    def __init__(self, interpreter: Interpreter, version: _Version) -> None:
        super().__init__(interpreter, version.coroutines, version.task)
        self._version = version
        self._sets: dict[int, int] = {}

    @classmethod
    def of(cls, interpreter: Interpreter) -> WeakTasks | None:
        """None: asyncio is not loaded (yet), or the version is another one.  Raises OSError."""
        version = _VERSIONS.get(interpreter.python.version[:2])
        if version is None:
            return None
        found = cls(interpreter, version)
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
        interpreter, memory, version = self._interpreter, self._memory, self._version
        modules = memory.pointer(address + version.modules)
        module = _value(interpreter, modules, _MODULE)
        found = _value(interpreter, memory.pointer(module + _MODULE_NAMES), version.name) if module else 0
        data = _first_attribute(interpreter, found, version.form) if found else 0
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


def _first_attribute(interpreter: Interpreter, address: int, form: Form) -> int:
    """What an object was given first: the set of a WeakSet.  Raises MovedError."""
    memory = interpreter.memory
    dictionary = memory.pointer(address - 24)
    if form == "apart" and (values := memory.pointer(address - 32)):
        return memory.pointer(values)
    if form == "tagged" and dictionary & 1:
        return memory.pointer(dictionary + 1)
    if form == "inline" and memory.read(address + 19, 1)[0]:
        return memory.pointer(address + 24)
    return _value(interpreter, dictionary, "data", form)  # someone asked for its __dict__


def _value(interpreter: Interpreter, dictionary: int, name: str, form: Form = "apart") -> int:
    """The address of what a dictionary has under a name; 0: nothing.  Raises MovedError."""
    memory = interpreter.memory
    keys = memory.pointer(dictionary + _KEYS)
    head = memory.read(keys, _INDEXES)
    (count,) = struct.unpack_from("<Q", head, _COUNT)
    begin = keys + _INDEXES + (1 << min(head[_INDEX_BYTES], 40))
    entry = struct.Struct("<QQ" if head[_KIND] else "<8xQQ")
    for each in range(min(count, _MOST_NAMES)):
        key, value = entry.unpack(memory.read(begin + entry.size * each, entry.size))
        if not key or interpreter.code.text(key) != name:
            continue
        if head[_KIND] == _SPLIT:
            begin_of_values = memory.pointer(dictionary + _VALUES) + (8 if form == "inline" else 0)
            value = memory.pointer(begin_of_values + 8 * each)
        return int(value)
    return 0
