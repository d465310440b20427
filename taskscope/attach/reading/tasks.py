"""The tasks of another process, read from its memory.

From Python 3.14 on they are in lists, of which asyncio tells where they are.  Tasks come and go while these
are followed: a link counts if the next task points back; where one does not, the walk goes back to the last
task that is still in the list.  So none is listed twice, and none is missed that was there all the time.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from taskscope.attach.reading.asyncio_layout import asyncio_of
from taskscope.attach.reading.coroutines import Chain, Coroutines
from taskscope.attach.reading.layout import coroutines_of
from taskscope.attach.reading.memory import MovedError
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.attach.reading.asyncio_layout import AsyncioLayout
    from taskscope.attach.reading.frames import Interpreter, Stacks
    from taskscope.attach.reading.layout import CoroutineLayout

MOST_TASKS = 300_000
MOST_RETURNS = 1_000
"""Times that the walk of a list goes back."""

MOST_LINKS = 4 * MOST_TASKS
"""Tasks that wait for others, of all together."""

MOST_NAME = 80
"""Characters of a task's name."""

_TASK_NUMBER = "int"
_MOST_SET = 1 << 16


@dataclass(frozen=True, slots=True)
class OutsideTask:
    """``awaited_by``: addresses of the tasks that wait for it.  ``thread``: the native id of that it belongs
    to; 0: that has ended.
    """

    address: int
    name: str
    chain: Chain
    thread: int
    awaited_by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tasks:
    """``unread``: tasks that changed while they were read; ``more``: there are others, for which time or
    room was lacking.
    """

    tasks: tuple[OutsideTask, ...]
    unread: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class TaskFields:
    """Offsets in a task; ``awaited_by`` 0: it does not tell who waits for it."""

    size: int
    name: int
    coroutine: int
    awaited_by: int = 0
    awaited_by_is_set: int = 0


class TaskReader:
    """Reads the tasks of one process again and again."""

    def __init__(self, interpreter: Interpreter, coroutines: CoroutineLayout, fields: TaskFields) -> None:
        self._interpreter = interpreter
        self._memory = interpreter.memory
        self._layout = fields
        self._fields = coroutines
        self._coroutines = Coroutines(interpreter, coroutines)
        self._names: dict[tuple[int, int], str] = {}
        self._links = MOST_LINKS

    def tasks(self, stacks: Stacks) -> Tasks:
        """All that are not done, as far as the time of the look allows.  Raises MovedError."""
        self._coroutines.look_again()
        self._links = MOST_LINKS
        found: dict[int, OutsideTask] = {}
        unread, more = 0, False
        names, self._names = self._names, {}
        for address, data, thread in self._all(stacks):
            if len(found) >= MOST_TASKS or self._memory.is_over:
                more = True
                break
            if address in found:
                continue
            try:
                found[address] = self._task(address, data, thread, names)
            except MovedError:
                unread += 1
        return Tasks(tuple(found.values()), unread, more or self._memory.is_over)

    def _all(self, stacks: Stacks) -> Iterator[tuple[int, bytes, int]]:
        """The address of each, what is there, and the native id of its thread; 0: unknown."""
        raise NotImplementedError

    def _task(self, address: int, data: bytes, thread: int, names: dict[tuple[int, int], str]) -> OutsideTask:
        layout = self._layout
        name, coroutine, awaited_by = (
            struct.unpack_from("<Q", data, at)[0] for at in (layout.name, layout.coroutine, layout.awaited_by)
        )
        chain = self._coroutines.chain(coroutine)
        key = (address, name)
        told = self._names[key] = names.get(key) or self._name(name)
        by: tuple[int, ...] = ()
        if layout.awaited_by and awaited_by:
            by = self._set(awaited_by) if data[layout.awaited_by_is_set] else (awaited_by,)
        return OutsideTask(address, told, chain, thread, by)

    def _name(self, address: int) -> str:
        """A text, or the number of ``Task-1``, which becomes a text when it is asked for."""
        data = self._memory.read(address, self._fields.digits + 4)
        if self._coroutines.type_of(data) == _TASK_NUMBER:
            return f"Task-{struct.unpack_from('<I', data, self._fields.digits)[0]}"
        return self._interpreter.code.text(address, MOST_NAME)[:MOST_NAME]

    def _set(self, address: int) -> tuple[int, ...]:
        """What a set contains."""
        table = self._memory.pointer(address + self._fields.set_table)
        mask = self._memory.pointer(address + self._fields.set_mask)
        if mask >= _MOST_SET or mask >= self._links:
            return ()
        self._links -= mask + 1
        entries = struct.iter_unpack("<Qq", self._memory.read(table, 16 * (mask + 1)))
        return tuple(key for key, code in entries if key and code != -1)


class LinkedTasks(TaskReader):
    """From Python 3.14 on: a list for each thread, and one for threads that have ended, oldest task first."""

    def __init__(self, interpreter: Interpreter, coroutines: CoroutineLayout, layout: AsyncioLayout) -> None:
        fields = TaskFields(
            layout.size, layout.name, layout.coroutine, layout.awaited_by, layout.awaited_by_is_set
        )
        super().__init__(interpreter, coroutines, fields)
        self._lists = layout

    @classmethod
    def of(cls, interpreter: Interpreter) -> LinkedTasks | None:
        """None: asyncio is not loaded (yet), or this version does not tell.  Raises OSError."""
        python, memory = interpreter.python, interpreter.memory
        fields = coroutines_of(python, memory, interpreter.layout)
        layout = asyncio_of(memory, fields.interpreter_size, python.file) if fields is not None else None
        return cls(interpreter, fields, layout) if fields is not None and layout is not None else None

    def _all(self, stacks: Stacks) -> Iterator[tuple[int, bytes, int]]:
        for head, thread in self._heads(stacks):
            for address, data in self._listed(head):
                yield address, data, thread

    def _heads(self, stacks: Stacks) -> Iterator[tuple[int, int]]:
        """Where the lists begin, and of which thread each is: 0, if its thread has ended."""
        for each in stacks.threads:
            for state in each.states:
                yield state + self._lists.tasks_of_thread, each.native
        for address in self._interpreter.addresses():
            yield address + self._lists.tasks_of_interpreter, 0

    def _listed(self, head: int) -> Iterator[tuple[int, bytes]]:
        """The tasks in the list that begins at ``head``: the address of each, and what is there."""
        layout, read = self._lists, self._memory.read
        node, way, seen = head, [head], {head}
        after, returns = self._next(head), 0
        while returns < MOST_RETURNS and after != head:
            try:
                data = read(after - layout.node, layout.size)
                following, back = struct.unpack_from("<2Q", data, layout.node)
            except MovedError:
                back = 0
            if back == node and after not in seen:
                node, after = after, following
                seen.add(node)
                way.append(node)
                yield node - layout.node, data
                continue
            returns += 1
            if self._memory.is_over:
                return
            while len(way) > 1 and not self._is_in(node):
                way.pop()
                node = way[-1]
            after = self._next(node)

    def _next(self, node: int) -> int:
        try:
            return self._memory.pointer(node)
        except MovedError:
            return 0

    def _is_in(self, node: int) -> bool:
        """Whether a task is still in its list: the one before it points to it."""
        try:
            return self._memory.pointer(self._memory.pointer(node + 8)) == node
        except MovedError:
            return False
