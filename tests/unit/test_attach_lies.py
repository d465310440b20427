"""A process may write anything into its memory and its answer: we detect nonsense and say so."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.attach import elf, inject, loaded, procfs
from taskscope.attach.errors import AttachError
from taskscope.attach.loaded import Loaded
from taskscope.attach.target import C_API, Target, examine

if TYPE_CHECKING:
    from collections.abc import Iterator

MUTATIONS = 100


def image_of(target: Target) -> tuple[int, bytes]:
    """Where the interpreter is mapped in a process, and what stands there."""
    pid = target.pid
    address = target.addresses["Py_IsInitialized"]
    maps = procfs.maps(pid)
    path = next(each.path for each in maps if each.start <= address < each.end)
    parts = [each for each in maps if each.path == path]
    base, end = parts[0].start, parts[-1].end
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        data = bytearray(end - base)
        for part in parts:
            data[part.start - base : part.end - base] = os.pread(
                memory.fileno(), part.end - part.start, part.start
            )
    return base, bytes(data)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A process of ours that does nothing."""
    code = "import time; print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield examine(child.pid)
        child.kill()


def test_tables_that_lie_are_no_image_and_cost_no_time(target: Target) -> None:
    chance = random.Random(9)
    base, honest = image_of(target)
    outcomes = {"found": 0, "not found": 0, "no image": 0}
    headers = 64 + 56 * 14
    for _ in range(MUTATIONS):
        data = bytearray(honest)
        for _ in range(chance.choice((1, 3, 30))):
            at = chance.randrange(headers) if chance.random() < 0.7 else chance.randrange(len(data))
            data[at : at + 8] = chance.choice((b"\xff" * 8, b"\0" * 8, chance.randbytes(8)))

        def read(address: int, size: int, data: bytes = bytes(data)) -> bytes:
            if not base <= address < base + len(data):
                raise OSError("not mapped")
            return data[address - base : address - base + size]

        began = time.process_time()
        try:
            image = elf.Image(read, base)
            found = all(image.symbol(name) is not None for name in C_API)
            outcomes["found" if found else "not found"] += 1
        except (elf.ElfError, OSError):
            outcomes["no image"] += 1
        assert time.process_time() - began < 1
    print(outcomes)
    assert outcomes["no image"] > 0


class Fake:
    """Files that consist of one header, for which ``count`` segments are told."""

    def __init__(self, count: int) -> None:
        self._header = b"\x7fELF\x02\x01".ljust(32, b"\0") + (64).to_bytes(8, "little")
        self._header = self._header.ljust(54, b"\0") + struct.pack("<HH", 56, count)
        self.reads = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        return self._header.ljust(size, b"\0")[:size]


def test_a_file_is_not_believed_to_have_thousands_of_segments() -> None:
    fake = Fake(65_535)
    with pytest.raises(elf.ElfError, match="too many segments"):
        elf.Image(fake.read, 1 << 20)
    assert fake.reads == 1


def test_of_many_files_that_are_called_python_some_are_looked_into() -> None:
    fake = Fake(10)
    maps = tuple(
        procfs.Mapping(at << 20, at + 1 << 20, False, 0, f"/{at}/libpython3.so") for at in range(20_000)
    )
    assert loaded.Loaded(fake.read, maps, "/usr/bin/app").python(C_API) is None
    assert fake.reads <= 50 * 12


def test_a_list_of_mappings_without_an_end_is_read_to_some_line(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = procfs.maps(target.pid)
    monkeypatch.setattr(procfs, "MOST_MAPS", 1_000)
    some = procfs.maps(target.pid)
    assert 3 < len(some) < len(every)
    assert some == every[: len(some)]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "x",
        "{}",
        "[" * 4000,
        "state",
        "=",
        "state=\x1b[31mred",
        "state=started=no",
        "\0" * 4000,
        "stat\udcffe=started",
    ],
)
def test_an_answer_that_makes_no_sense_is_one_sentence(answer: str, target: Target) -> None:
    with pytest.raises(AttachError, match="did not start the agent"):
        inject._endpoint(target, inject._fields(answer), waiting(target))


def waiting(target: Target) -> inject._Waiting:
    return inject._Waiting(target.pid, 1, lambda text: None, lambda: True)


def test_an_answer_is_shown_without_its_escape_sequences(target: Target) -> None:
    fields = inject._fields("state=failed\0error=\x1b]0;mine\x07\0where=\x1b[2J")
    with pytest.raises(AttachError) as told:
        inject._endpoint(target, fields, waiting(target))
    assert str(told.value).isprintable()


@pytest.mark.parametrize(
    ("machines", "said"),
    [
        ({62: 8, 183: 8}, "is for another processor; TaskScope attaches to x86-64 and arm64$"),
        ({}, r"is a program for \S+ that \S+ emulates; no agent can enter it$"),
    ],
)
def test_another_processor_and_an_emulated_one_are_told(
    machines: dict[int, int], said: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As their ELF files tell; the emulator's own file is for another one than Python's."""
    real = elf.Image.__init__

    def other(image: elf.Image, *words: Any) -> None:
        real(image, *words)
        image.machine = machines.get(image.machine, image.machine)

    monkeypatch.setattr(elf.Image, "__init__", other)
    if not machines:
        monkeypatch.setattr(Loaded, "machine", lambda self, path: 1)
    with pytest.raises(AttachError) as refusal:
        examine(target.pid)
    assert re.search(said, refusal.value.sentence)
    assert refusal.value.remedy == "start it with `taskscope run`"
