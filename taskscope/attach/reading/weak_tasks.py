"""Tasks of Python 3.11 to 3.13, which keeps them in a set of weak references and tells nobody where.

The set is found as Python finds it: among the modules, by its name.  The offsets are the same in all releases
of a version.
"""

from __future__ import annotations

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
    """The set at ``data``."""

    def __init__(self, interpreter: Interpreter, version: _Version, data: int) -> None:
        super().__init__(interpreter, version.coroutines, version.task)
        self._version = version
        self._data = data

    @classmethod
    def of(cls, interpreter: Interpreter) -> WeakTasks | None:
        """None: asyncio is not loaded (yet), or the version is another one.  Raises OSError."""
        version = _VERSIONS.get(interpreter.python.version[:2])
        if version is None:
            return None
        memory = interpreter.memory
        modules = memory.pointer(interpreter.address + version.modules)
        module = _value(interpreter, modules, _MODULE)
        found = _value(interpreter, memory.pointer(module + _MODULE_NAMES), version.name) if module else 0
        if not found:
            return None
        data = _first_attribute(interpreter, found, version.form)
        kind = memory.pointer(memory.pointer(data + _TYPE) + version.coroutines.type_name)
        return cls(interpreter, version, data) if memory.c_string(kind) == "set" else None

    def _all(self, stacks: Stacks) -> Iterator[tuple[int, bytes, int]]:
        read = self._memory.read
        for reference in self._references():
            try:
                address = self._memory.pointer(reference + _REFERENT)
                data = read(address, self._layout.size)
            except MovedError:
                continue  # it has just ended
            if struct.unpack_from("<i", data, self._version.state)[0] == 0:
                yield address, data, 0

    def _references(self) -> list[int]:
        """What the set contains.  Raises MovedError if it does not stand still."""
        for _ in range(TRIES):
            before = self._table()
            begin, count = before
            data = b""
            for at in range(begin, begin + 16 * count, MOST_DATA):
                data += self._memory.read(at, min(MOST_DATA, begin + 16 * count - at))
            if self._table() == before:
                return [key for key, code in struct.iter_unpack("<Qq", data) if key and code != -1]
        raise MovedError("the set of tasks does not stand still")

    def _table(self) -> tuple[int, int]:
        """Where the set has its entries, and the number of their places."""
        fields = self._fields
        count = self._memory.pointer(self._data + fields.set_mask) + 1
        if not 0 < count <= _MOST_PLACES:
            raise MovedError("it is no set")
        return self._memory.pointer(self._data + fields.set_table), count


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
