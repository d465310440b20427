"""Memory that lies or has no end, read from outside: reading ends, and raises nothing but MovedError."""

from __future__ import annotations

import ctypes
import os
import random
import struct
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from taskscope.attach.reading import layout, objects
from taskscope.attach.reading.asyncio_layout import AsyncioLayout
from taskscope.attach.reading.code_objects import CodeObjects
from taskscope.attach.reading.coroutines import Coroutines
from taskscope.attach.reading.frames import Interpreter, Stacks
from taskscope.attach.reading.memory import MOST_DATA, Memory, MovedError
from taskscope.attach.reading.objects import Objects
from taskscope.attach.reading.tasks import LinkedTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASYNCIO = AsyncioLayout(168, 136, 96, 108, 109, 128, 152, 225864, 10880, 936, 864, 872, 880)
FIELDS = layout.CoroutineLayout(225864, 64, 24, 40, 32, 24, 160, 72, 67, 8, -3, -1, 0)
PYTHON = layout.Layout(816, 7792, 7344, 16, 152, 160, 72, 0, 8, 56, 74, 112, 128, 136, 68, 208)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(os.getpid()) as found:
        yield found


@pytest.fixture
def interpreter(memory: Memory) -> Interpreter:
    return Interpreter(memory, PYTHON, layout.Python(1, (3, 14, 0)))


def reader(interpreter: Interpreter) -> LinkedTasks:
    return LinkedTasks(interpreter, FIELDS, ASYNCIO)


class Page:
    """Memory of ours that holds what a test writes: numbers of eight bytes at offsets."""

    def __init__(self, size: int = 1 << 16) -> None:
        self._buffer = ctypes.create_string_buffer(size)
        self.address = ctypes.addressof(self._buffer)

    def write(self, at: int, *numbers: int) -> None:
        struct.pack_into(f"<{len(numbers)}Q", self._buffer, at, *numbers)

    def fill(self, data: bytes) -> None:
        ctypes.memmove(self.address, data, len(data))


@pytest.mark.parametrize("address", [0, 1, 1 << 47, (1 << 63) - 8, 1 << 63, (1 << 64) - 1, -8])
def test_an_address_that_leads_nowhere_has_moved(memory: Memory, address: int) -> None:
    for read in (memory.pointer, memory.c_string, lambda at: memory.read(at, 8)):
        with pytest.raises(MovedError):
            read(address)


def test_no_more_is_read_than_has_to_be(memory: Memory) -> None:
    with pytest.raises(MovedError):
        memory.read(Page().address, MOST_DATA + 1)


def test_a_list_of_tasks_that_bites_its_own_tail_ends(interpreter: Interpreter) -> None:
    page = Page()
    nodes = [page.address + 1024 * (number + 1) + ASYNCIO.node for number in range(5)]
    page.write(0, nodes[0], nodes[0])
    for number, node in enumerate(nodes):  # the last one leads to the second
        following = nodes[number + 1] if number < 4 else nodes[1]
        page.write(node - page.address, following, nodes[number - 1] if number else page.address)
    begun = time.monotonic()
    found = [address for address, _ in reader(interpreter)._listed(page.address)]
    assert found == [node - ASYNCIO.node for node in nodes]
    assert time.monotonic() - begun < 2


def test_a_task_that_leaves_the_list_meanwhile_does_not_hide_those_behind_it(
    interpreter: Interpreter,
) -> None:
    page = Page()
    nodes = [page.address + 1024 * (number + 1) + ASYNCIO.node for number in range(4)]
    ring = [page.address, *nodes]

    def link(order: list[int]) -> None:
        for before, after in zip(order, [*order[1:], order[0]], strict=True):
            page.write(before - page.address, after)
            page.write(after - page.address + 8, before)

    link(ring)
    walk = reader(interpreter)._listed(page.address)
    found = [next(walk)[0], next(walk)[0]]
    page.write(nodes[1] - page.address, 0, 0)  # the second one ends, just after it was seen
    link([page.address, nodes[0], nodes[2], nodes[3]])
    found += [address for address, _ in walk]
    assert found == [node - ASYNCIO.node for node in nodes]


def test_an_await_chain_without_an_end_ends(interpreter: Interpreter) -> None:
    page = Page()
    kind, name = page.address + 4096, page.address + 8192
    ctypes.memmove(name, b"coroutine_wrapper\0", 18)
    page.write(4096 + FIELDS.type_name, name)
    page.write(0, 1, kind, page.address)  # it wraps itself
    with pytest.raises(MovedError):
        Coroutines(interpreter, FIELDS).chain(page.address)


@pytest.mark.parametrize("length", [1 << 20, 1 << 62, (1 << 64) - 1])
def test_a_text_without_an_end_is_a_question_mark(interpreter: Interpreter, length: int) -> None:
    page = Page()
    page.write(0, 1, 1, length, 0, 0b1100100)
    assert CodeObjects(interpreter.memory, PYTHON).text(page.address) == "?"


def test_text_is_cleaned_and_wrong_characters_are_no_error(interpreter: Interpreter) -> None:
    page = Page()
    page.write(0, 1, 1, 6, 0, 0b1100100)
    ctypes.memmove(page.address + 40, b"\x1b[2J\xff\xc3", 6)
    found = CodeObjects(interpreter.memory, PYTHON).text(page.address)
    assert found.isprintable()
    page.write(0, 1, 1, 2, 0, 0b0110000)  # four bytes a character, none of which exists
    ctypes.memmove(page.address + 56, b"\xff\xff\xff\xff\xff\xff\xff\x7f", 8)
    assert CodeObjects(interpreter.memory, PYTHON).text(page.address).isprintable()


def test_noise_in_place_of_every_structure_raises_nothing_else(interpreter: Interpreter) -> None:
    chance, page = random.Random(7), Page()
    near = [page.address + each for each in range(0, 1 << 15, 8)]
    tasks, versions = reader(interpreter), [Objects(interpreter, each) for each in objects._VERSIONS.values()]
    for _ in range(60):
        words = [
            chance.choice((chance.choice(near), chance.getrandbits(64), chance.getrandbits(8), 0))
            for _ in range(1 << 12)
        ]
        page.fill(struct.pack(f"<{len(words)}Q", *words))
        list(tasks._listed(page.address))
        attempts: tuple[Callable[[], object], ...] = (
            lambda: tasks._task(page.address, interpreter.memory.read(page.address, 168), 1, {}),
            lambda: tasks._coroutines.chain(page.address),
            lambda: tasks._set(page.address),
            lambda: interpreter.stack(page.address),
            lambda: interpreter.code.frame(page.address, page.address + 300),
            lambda: interpreter.code.text(page.address),
            *(partial(each.attribute, page.address + 64, "name") for each in versions),
            *(partial(each.by_number, page.address) for each in versions),
        )
        for attempt in attempts:
            try:
                attempt()
            except MovedError:
                pass


def test_the_walk_of_tasks_ends_when_its_time_is_over(interpreter: Interpreter) -> None:
    found = reader(interpreter)
    found._heads = lambda stacks: iter([(1, 1)])  # type: ignore[method-assign]
    found._listed = lambda head: ((each, bytes(168)) for each in range(1 << 40))  # type: ignore[method-assign]
    begun = time.monotonic()
    tasks = found.tasks(Stacks.__new__(Stacks), 0.2)
    assert time.monotonic() - begun < 5
    assert tasks.more
