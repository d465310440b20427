"""The interpreter lock and a native mutex in opposite order: told from outside, as nothing runs inside."""

from __future__ import annotations

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from taskscope.attach import mutexes
from taskscope.attach.diagnosis import never_again
from taskscope.attach.reading import code_objects, frames
from tests.integration.children import taskscope
from tests.pythons import require, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import ctypes, sys, threading, time
mutex = ctypes.create_string_buffer(64)
with_gil = (ctypes.CDLL if "apart" in sys.argv else ctypes.PyDLL)(None)
without_gil = ctypes.CDLL(None)
pauses = range(1 if "apart" in sys.argv else 10**9)
taken = threading.Event()
def poll_core():
    while True:
        without_gil.pthread_mutex_lock(mutex)
        taken.set()
        for _ in pauses: time.sleep(0.02)
        without_gil.pthread_mutex_unlock(mutex)
def beat():
    taken.wait()
    while True:
        with_gil.pthread_mutex_lock(mutex)  # holds the GIL
        with_gil.pthread_mutex_unlock(mutex)
        time.sleep(0.003)
threading.Thread(target=poll_core, daemon=True).start()
threading.Thread(target=beat, daemon=True).start()
while True: time.sleep(0.1)
"""


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    version, *arguments = request.param.split()
    file = tmp_path / "service.py"
    file.write_text(PROGRAM)
    with subprocess.Popen([require(version), str(file), *arguments]) as child:
        try:
            yield child.pid
        finally:
            child.kill()


@pytest.mark.parametrize("program", versions(), indirect=True)
def test_the_owner_of_the_mutex_and_the_holder_of_the_gil_are_named(program: int) -> None:
    end = time.monotonic() + 40
    while (found := never_again(program)) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    text = str(found)
    (wait,) = mutexes.awaited(program)
    assert f"its thread {wait.waiter}" in text and f"its thread {wait.owner}" in text
    assert "holds the GIL and waits in pthread_mutex_lock for a mutex" in text
    stacks = frames.read(program)
    assert stacks is not None
    assert stacks.holder == wait.waiter
    for native, line in ((wait.waiter, "service.py:17 in beat"), (wait.owner, "service.py:12 in poll_core")):
        assert re.search(rf"thread {native} \((Thread-[^,]*, )?{line}\)", text), text
    threads = len(os.listdir(f"/proc/{program}/task"))
    for words in (("doctor", str(program)), ("snapshot", str(program))):
        done = taskscope(*words)
        assert done.returncode == 3
        assert "hangs for good" in done.stderr
    assert len(os.listdir(f"/proc/{program}/task")) == threads, "it was left alone"


@pytest.mark.parametrize("program", ["3.11 apart"], indirect=True)
def test_threads_that_only_compete_for_a_mutex_are_no_deadlock(program: int) -> None:
    end = time.monotonic() + 20
    seen = 0
    while seen < 3:
        assert time.monotonic() < end
        seen += bool(mutexes.awaited(program))
        assert never_again(program) is None
    assert taskscope("doctor", str(program)).returncode == 0


def test_of_ourselves_the_lines_are_right() -> None:
    with ThreadPoolExecutor(1) as pool:  # a thread that reads itself moves meanwhile
        found = pool.submit(frames.read, os.getpid()).result()
    assert found is not None
    innermost = [each for each in found.lines[os.getpid()] if each.file == __file__]
    assert innermost[0].function == "test_of_ourselves_the_lines_are_right"
    assert innermost[0].line == test_of_ourselves_the_lines_are_right.__code__.co_firstlineno + 2


def test_lines_are_read_from_the_table_as_the_interpreter_does() -> None:
    for function in (
        code_objects.line_of,
        frames.read,
        taskscope,
        never_again,
        test_of_ourselves_the_lines_are_right,
    ):
        code = getattr(function, "__wrapped__", function).__code__
        for start, _, line in code.co_lines():
            if line is not None:
                assert code_objects.line_of(code.co_linetable, code.co_firstlineno, start) == line


@pytest.mark.parametrize("table", [b"", b"\xff", b"\xe8", b"\xf0" + b"\x7f" * 40, b"\x00", bytes(range(256))])
def test_a_table_that_lies_is_an_error_at_most(table: bytes) -> None:
    try:
        code_objects.line_of(table, 1, 2)
    except IndexError:
        pass
