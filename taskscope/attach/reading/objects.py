"""Modules, dictionaries and attributes of Python 3.11 to 3.13, found by name.

The offsets are the same in all releases of a version.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from taskscope.attach.reading.memory import MovedError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.frames import Interpreter

Form = Literal["apart", "tagged", "inline"]
"""How an object has its attributes: 32 bytes before it is where; 24 bytes, and odd; or they follow it."""


@dataclass(frozen=True, slots=True)
class _Version:
    """Where an interpreter has its modules, and a type the names of its objects' attributes."""

    modules: int
    names: int
    form: Form


_VERSIONS = {
    (3, 11): _Version(888, 872, "apart"),
    (3, 12): _Version(944, 880, "tagged"),
    (3, 13): _Version(7656, 880, "inline"),
}

_TYPE, _MODULE_NAMES = 8, 16
"""Where an object has its type, and a module the dictionary of its names."""

_SPLIT, _VALUES = 2, 40
"""The kind of a dictionary whose values are apart, and where it has them."""

_KEYS, _INDEX_BYTES, _KIND, _COUNT, _INDEXES = 32, 9, 10, 24, 32
"""Where a dictionary has its keys, and what these begin with."""

_MOST_NAMES = 20_000


class Objects:
    """Those of one process."""

    def __init__(self, interpreter: Interpreter, version: _Version) -> None:
        self._text = interpreter.code.text
        self._memory = interpreter.memory
        self._version = version

    @classmethod
    def of(cls, interpreter: Interpreter) -> Objects | None:
        """None: the version is another one."""
        version = _VERSIONS.get(interpreter.python.version[:2])
        return cls(interpreter, version) if version is not None else None

    def in_module(self, interpreter: int, module: str, name: str) -> int:
        """The address of what a module has under a name, in the interpreter at an address; 0: it has none.

        Raises MovedError.
        """
        modules = self._memory.pointer(interpreter + self._version.modules)
        found = self._value(modules, module)
        return self._value(self._memory.pointer(found + _MODULE_NAMES), name) if found else 0

    def attribute(self, address: int, name: str) -> int:
        """The address of an attribute that the object itself has; 0: it has none.  Raises MovedError."""
        memory, version = self._memory, self._version
        dictionary, values = memory.pointer(address - 24), 0
        if version.form == "apart":
            values = memory.pointer(address - 32)
        elif version.form == "tagged" and dictionary & 1:
            values = dictionary + 1
        elif version.form == "inline" and memory.read(address + 19, 1)[0]:
            values = address + 24
        if not values:
            return self._value(dictionary, name)  # someone asked for its __dict__
        keys = memory.pointer(memory.pointer(address + _TYPE) + version.names)
        for at, (key, _, _) in enumerate(self._entries(keys)):
            if key and self._text(key) == name:
                return memory.pointer(values + 8 * at)
        return 0

    def by_number(self, dictionary: int) -> dict[int, int]:
        """The addresses of what a dictionary has under whole numbers.  Raises MovedError."""
        entries = self._entries(self._memory.pointer(dictionary + _KEYS))
        return {number: value for _, value, number in entries if value}

    def _value(self, dictionary: int, name: str) -> int:
        """The address of what a dictionary has under a name; 0: nothing.  Raises MovedError."""
        memory = self._memory
        keys = memory.pointer(dictionary + _KEYS)
        for at, (key, value, _) in enumerate(self._entries(keys)):
            if not key or self._text(key) != name:
                continue
            if memory.read(keys + _KIND, 1)[0] == _SPLIT:
                begin = memory.pointer(dictionary + _VALUES) + (8 if self._version.form == "inline" else 0)
                return memory.pointer(begin + 8 * at)
            return value
        return 0

    def _entries(self, keys: int) -> Iterator[tuple[int, int, int]]:
        """The addresses of keys and values, and the hash of a key that is no text: of a number, itself."""
        head = self._memory.read(keys, _INDEXES)
        (count,) = struct.unpack_from("<Q", head, _COUNT)
        begin = keys + _INDEXES + (1 << min(head[_INDEX_BYTES], 40))
        entry = struct.Struct("<QQ" if head[_KIND] else "<QQQ")
        if count > _MOST_NAMES:
            raise MovedError("it is no dictionary")
        for fields in entry.iter_unpack(self._memory.read(begin, entry.size * count)):
            yield (*fields, 0) if head[_KIND] else (fields[1], fields[2], fields[0])
