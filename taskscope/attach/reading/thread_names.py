"""What threads are called in Python 3.11 to 3.13; later versions tell the kernel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from taskscope.attach.reading.memory import MovedError
from taskscope.attach.reading.objects import Objects

if TYPE_CHECKING:
    from taskscope.attach.reading.frames import Interpreter

MOST_NAME = 80
"""Characters of a name."""


class ThreadNames:
    """Those of one process, as the module ``threading`` of each interpreter has them."""

    def __init__(self, interpreter: Interpreter, objects: Objects) -> None:
        self._interpreter = interpreter
        self._text = interpreter.code.text
        self._objects = objects
        self._threads: dict[int, int] = {}

    @classmethod
    def of(cls, interpreter: Interpreter) -> ThreadNames | None:
        """None: the version is another one."""
        objects = Objects.of(interpreter)
        return cls(interpreter, objects) if objects is not None else None

    def by_ident(self) -> dict[int, str]:
        """As far as they are told, by the identity of a thread.  Raises OSError if the process has ended."""
        found: dict[int, str] = {}
        before, self._threads = self._threads, {}
        for address in self._interpreter.addresses():
            with contextlib.suppress(MovedError):  # it begins or ends
                threads = before.get(address) or self._objects.in_module(address, "threading", "_active")
                found |= self._named(threads) if threads else {}
                self._threads[address] = threads
        return found

    def _named(self, threads: int) -> dict[int, str]:
        objects, found = self._objects, {}
        for ident, thread in objects.by_number(threads).items():
            with contextlib.suppress(MovedError):  # it has just ended
                found[ident] = self._text(objects.attribute(thread, "_name"), MOST_NAME)[:MOST_NAME]
        return found
