"""Memory that lies or has no end, read from outside: reading ends, and raises nothing but MovedError."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import struct
import tempfile
import threading
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import elf, procfs
from taskscope.attach.loaded import Loaded
from taskscope.attach.reading import code_objects, layout, objects, weak_tasks
from taskscope.attach.reading.asyncio_layout import AsyncioLayout
from taskscope.attach.reading.code_objects import ROOM, CodeObjects
from taskscope.attach.reading.coroutines import Chain, Coroutines
from taskscope.attach.reading.frames import Gil, Interpreter, Stacks, ThreadStack
from taskscope.attach.reading.memory import MOST_DATA, Memory, MovedError
from taskscope.attach.reading.objects import Objects
from taskscope.attach.reading.tasks import MOST_LINKS, LinkedTasks, OutsideTask
from taskscope.model import Frame
from taskscope.sources.outside.tally import MOST_SITES, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASYNCIO = AsyncioLayout(168, 136, 96, 108, 109, 128, 152, 225864, 10880, 936, 864, 872, 880)
FIELDS = layout.CoroutineLayout(225864, 64, 24, 40, 32, 24, 160, 72, 67, 8, -3, -1, 0)
PYTHON_311, PYTHON_312 = layout._KNOWN[3, 11], layout._KNOWN[3, 12]
NOBODY = Stacks(Gil(0, 0), ())
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


def test_an_interpreter_that_is_just_being_unloaded_has_moved(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Loaded.python

    def gone(image: elf.Image, name: str) -> int:
        raise elf.ElfError("it ends too early")

    def python(loaded: Loaded, names: tuple[str, ...]) -> tuple[str, elf.Image] | None:
        last = found(loaded, names)
        monkeypatch.setattr(elf.Image, "symbol", gone)
        return last

    monkeypatch.setattr(Loaded, "python", python)
    with pytest.raises(MovedError):
        layout.python_of(memory)


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
    interpreter.memory.look_again(0.2)
    tasks = found.tasks(NOBODY)
    assert time.monotonic() - begun < 5
    assert tasks.more


def test_after_its_time_a_look_reads_nothing_until_the_next_one(memory: Memory) -> None:
    page = Page()
    memory.look_again(0.0)
    for _ in range(2):
        with pytest.raises(MovedError, match="no more time"):
            memory.read(page.address, 8)
    memory.look_again()
    assert memory.pointer(page.address) == 0


def test_a_look_in_another_thread_ends_when_the_memory_is_closed(interpreter: Interpreter) -> None:
    found, begun = reader(interpreter), threading.Event()
    found._heads = lambda stacks: iter([(1, 1)])  # type: ignore[method-assign]

    def listed(head: int) -> Iterator[tuple[int, bytes]]:
        for each in range(1 << 40):
            begun.set()
            yield each, bytes(168)

    found._listed = listed  # type: ignore[method-assign]
    looking = threading.Thread(target=found.tasks, args=(NOBODY,))
    looking.start()
    begun.wait()
    interpreter.memory.close()
    looking.join(1)
    assert not looking.is_alive()


class Codes(Page):
    """Code objects with one file name and one table of lines, whose numbers begin at ``first``."""

    def __init__(self, table: bytes, first: int = 1, count: int = 1) -> None:
        super().__init__(4096 + 256 * count + len(table))
        name, lines = self.address, self.address + 1024
        self.write(0, 1, 1, 4, 0, 0b1100100)
        ctypes.memmove(name + 40, b"name", 4)
        self.write(1024, 1, 1, len(table), 0)
        ctypes.memmove(lines + 32, table, len(table))
        begin = (1024 + 32 + len(table) + 15) & ~15
        self.each = [self.address + begin + 256 * number for number in range(count)]
        for code in self.each:
            for at, pointed in ((PYTHON.file, name), (PYTHON.name, name), (PYTHON.lines, lines)):
                self.write(code - self.address + at, pointed)
            ctypes.c_int32.from_address(code + PYTHON.first_line).value = first


ONE_LINE_ON = bytes([0x80 | 13 << 3 | 7, 2])
"""The next eight instructions are one line below."""


def test_lines_are_read_of_a_code_object(interpreter: Interpreter) -> None:
    codes = Codes(ONE_LINE_ON * 5, first=7)
    frame = interpreter.code.frame(codes.each[0], codes.each[0] + PYTHON.instructions + 16)
    assert (frame.file, frame.line, frame.function) == ("name", 9, "name")


def test_tables_of_many_code_objects_take_bounded_memory(interpreter: Interpreter) -> None:
    codes = Codes(ONE_LINE_ON * (1 << 19), count=500)
    read = 0
    tracemalloc.start()
    for _ in range(4):
        interpreter.code.look_again()
        for code in codes.each:
            with suppress(MovedError):
                interpreter.code.frame(code, code + PYTHON.instructions)
                read += 1
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read > 100
    assert most < 3 * ROOM


def test_lines_beyond_what_is_read_of_a_table_are_the_first_of_the_function(interpreter: Interpreter) -> None:
    codes = Codes(bytes([0x80 | 11 << 3 | 7, 0, 0]) * (1 << 18), first=7)
    begin = codes.each[0] + PYTHON.instructions
    assert interpreter.code.frame(codes.each[0], begin + 16 * 1000).line == 7 + 1001
    assert interpreter.code.frame(codes.each[0], begin + 16 * (1 << 17)).line == 7


def test_one_code_object_has_no_more_lines_than_there_is_room_for(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_objects, "ROOM", 1 << 18)
    code, codes = CodeObjects(memory, PYTHON), Codes(ONE_LINE_ON * 5)
    with pytest.raises(MovedError, match="no more room"):
        for place in range(0, -(1 << 18), -1):
            code.frame(codes.each[0], codes.each[0] + place)
    code.look_again()
    code.frame(codes.each[0], codes.each[0] + PYTHON.instructions)


LONG = bytes([0x80 | 14 << 3 | 7])


@pytest.mark.parametrize(
    ("table", "first"),
    [
        (LONG + b"\x7f" * 20 + b"\x3e" + bytes(3), 1),
        (LONG + b"\x7f" * 1000, 1),
        ((LONG + b"\x7e" * 5 + b"\x01" + bytes(3)) * 50 + ONE_LINE_ON, 1),
        (LONG + b"\x7f" * 5 + b"\x01" + bytes(3), 1),
        (ONE_LINE_ON, (1 << 31) - 1),
    ],
    ids=["a long number", "one without an end", "many", "below zero", "above what there can be"],
)
def test_no_line_has_a_number_that_no_line_can_have(
    interpreter: Interpreter, table: bytes, first: int
) -> None:
    codes = Codes(table, first)
    for place in (0, 16 * 50):
        frame = interpreter.code.frame(codes.each[0], codes.each[0] + PYTHON.instructions + place)
        assert 0 <= frame.line < 1 << 31


def test_a_number_of_too_many_bytes_is_not_read_to_its_end() -> None:
    with pytest.raises(IndexError, match="no end"):
        code_objects.line_of(LONG + b"\x7f" * 20 + b"\x3e" + bytes(3), 1, 0)


def test_sets_of_awaiters_are_bounded_all_together(interpreter: Interpreter) -> None:
    page, tasks = Page(1 << 21), reader(interpreter)
    page.write(FIELDS.set_table, page.address + 4096)
    page.write(FIELDS.set_mask, (1 << 16) - 1)
    page.write(4096, *[1, 1] * (1 << 16))
    found = sum(len(tasks._set(page.address)) for _ in range(100))
    assert 1 << 16 <= found <= MOST_LINKS


@pytest.mark.parametrize("field", ["name", "awaited_by", "coroutine", "node"])
@pytest.mark.parametrize("at", [0, ASYNCIO.size - 7, ASYNCIO.size, 1 << 40])
def test_a_field_beyond_the_end_of_a_task_is_not_believed(field: str, at: int) -> None:
    assert ASYNCIO.plausible
    assert not replace(ASYNCIO, **{field: at}).plausible


def test_a_process_cannot_fill_the_tally() -> None:
    tally = Tally()
    for at in range(MOST_SITES // 100 * 5):
        chains = [Chain(f"f{at}-{each}", (Frame("x.py", each, "f"),)) for each in range(100)]
        stacks = [ThreadStack((1,), 1, 2 + each, (Frame("x.py", at, f"g{each}"),), ()) for each in range(100)]
        tasks = [OutsideTask(each, "t", chain, 1) for each, chain in enumerate(chains)]
        tally.take(float(at), tasks, stacks, 1)
    assert MOST_SITES < len(tally.sites) <= 2 * MOST_SITES + 2
    assert sum(each.live for each in tally.sites.values()) == 200


@pytest.fixture
def page_of_a_file() -> Iterator[mmap.mmap]:
    """A page of a file that is not yet in memory of ours, on a file system without a disk."""
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        file.write(b"here".ljust(mmap.PAGESIZE))
        file.flush()
        with mmap.mmap(
            file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
        ) as page:
            yield page


def begin_of(page: mmap.mmap) -> int:
    """Its address, without touching what is there."""
    return ctypes.addressof(ctypes.c_char.from_buffer(page))


@pytest.mark.parametrize("kind", ["fuse", "fuse.sshfs", ""])
def test_a_page_that_a_program_would_have_to_bring_is_not_waited_for(
    page_of_a_file: mmap.mmap, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = os.stat("/dev/shm").st_dev
    known = {f"{os.major(device):02x}:{os.minor(device):02x}": kind} if kind else {}
    monkeypatch.setattr(procfs, "file_systems", lambda pid: known)
    with Memory(os.getpid()) as memory:
        address = begin_of(page_of_a_file)
        with pytest.raises(MovedError):
            memory.read(address, 4)
        assert page_of_a_file[:4] == b"here"  # now it is in memory
        assert memory.read(address, 4) == b"here"


def test_a_page_that_the_kernel_brings_is_read(page_of_a_file: mmap.mmap) -> None:
    with Memory(os.getpid()) as memory:
        assert memory.read(begin_of(page_of_a_file), 4) == b"here"


def test_what_is_mapped_while_one_looks_is_read(memory: Memory) -> None:
    with mmap.mmap(-1, 64 << 20) as new:
        new[:4] = b"here"
        assert memory.read(begin_of(new), 4) == b"here"


def test_a_process_is_not_asked_again_and_again_what_it_has_mapped(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def nothing(pid: int) -> str:
        asked.append(pid)
        return ""

    monkeypatch.setattr(procfs, "maps_text", nothing)
    for _ in range(1_000):
        with pytest.raises(MovedError):
            memory.read(8, 8)
    assert 0 < len(asked) <= 10


def test_a_frame_that_a_coroutine_cannot_hold_is_not_looked_for_in_one() -> None:
    for version, known in ((3, 11), PYTHON_311), ((3, 12), PYTHON_312), ((3, 13), PYTHON):
        coroutines = weak_tasks._VERSIONS[version].coroutines
        assert coroutines.plausible(known)
        for at in (500, 72):
            assert not coroutines.plausible(replace(known, instruction=at))
