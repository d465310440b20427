"""Opens the interpreter of a process for reading, or says why it cannot be read."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskscope.attach import builds, procfs
from taskscope.attach.errors import AttachError
from taskscope.attach.reading.frames import Interpreter
from taskscope.attach.reading.memory import AbsentError, Memory
from taskscope.attach.target import explained

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def reading(pid: int) -> Iterator[Interpreter]:
    """The interpreter of process ``pid``.  Raises AttachError."""
    memory = opened(pid)
    try:
        yield interpreter_of(memory)
    finally:
        memory.close()


def opened(pid: int) -> Memory:
    """The memory of process ``pid``.  Raises AttachError."""
    if sys.platform != "linux":
        raise AttachError("processes can be read from outside on Linux only")
    with explained(pid):
        if procfs.status(pid)["State"][0] in "ZX":
            raise AttachError(procfs.end(pid))
        return Memory(pid)


def interpreter_of(memory: Memory) -> Interpreter:
    """What runs there.  Raises AttachError."""
    with explained(memory.pid):
        try:
            found = Interpreter.of(memory)
        except AbsentError as error:
            raise AttachError(str(error)) from None
        if found is not None:
            return found
        what = _unreadable("\n".join(each.path for each in procfs.maps(memory.pid)))
    raise AttachError(f"process {memory.pid} {what}; {builds.READABLE}")


def _unreadable(files: str) -> str:
    """What it runs, as far as its files tell."""
    build, version = builds.of_files(files), builds.version_in(files)
    if build not in ("", "musl", "free-threaded"):
        return f"runs {build}"
    if builds.is_old(version):
        return f"runs Python {version}"
    return "runs no such Python, or does not export its symbols"
