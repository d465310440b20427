"""Whether only the functions of one thread have a pipe, so that nobody else will ever read it."""

from __future__ import annotations

import os
import sys
import threading
from io import FileIO

import pytest

from taskscope.agent.inspect.beyond_reach import alone_has
from taskscope.agent.inspect.island import OwnRef

OTHERS: list[FileIO] = []


def wait_with_a_pipe(
    numbers: list[int], begun: threading.Event, gate: threading.Event, *, shared: bool
) -> None:
    reader, writer = os.pipe()
    numbers.append(reader)
    pipe = FileIO(reader)
    if shared:
        OTHERS.append(pipe)
    begun.set()
    gate.wait()
    pipe.close()
    os.close(writer)


@pytest.mark.parametrize("shared", [False, True])
def test_a_pipe_of_one_thread_alone(shared: bool) -> None:
    numbers: list[int] = []
    begun, gate = threading.Event(), threading.Event()
    thread = threading.Thread(target=wait_with_a_pipe, args=(numbers, begun, gate), kwargs={"shared": shared})
    thread.start()
    try:
        begun.wait()
        frame = sys._current_frames()[thread.ident or 0]
        assert alone_has(OwnRef(thread), frame, set(numbers)) == (not shared)
        assert not alone_has(OwnRef(thread), frame, {numbers[0] + 1000})
        del frame
    finally:
        gate.set()
        thread.join()
        OTHERS.clear()
