"""Pending attempts: injected threads that have not run yet because something holds the GIL.

Such a thread cannot be removed from outside.  But what it will do can be changed, by one aligned word in its
memory, and no second one needs to be added.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from pathlib import Path

from taskscope.attach import procfs
from taskscope.attach.architectures import BY_MACHINE
from taskscope.values import dataclass

ARGUMENT_AT = procfs.PAGE
RECORD_AT = ARGUMENT_AT + 72
"""Offsets in the thread's memory: a page of code, the argument, the record, the texts."""

_ARGUMENT = struct.Struct("<8Q2I")
_TEXT = 24
"""The text's address in the argument: one aligned word, so it can change atomically."""

RECORD = struct.Struct("<d2Q")
"""When it was injected (wall seconds), and the addresses of the program and of ``TAKEN_BACK``."""


def argument(addresses: dict[str, int], text: int, block: int, size: int) -> bytes:
    """What the thread is started with: functions, the program text, and the memory to free at the end.

    In the last two fields it writes its id, and then that it has got the GIL.
    """
    return _ARGUMENT.pack(
        addresses["PyGILState_Ensure"],
        addresses["PyRun_SimpleString"],
        addresses["PyGILState_Release"],
        text,
        block,
        size,
        addresses["munmap"],
        addresses["Py_IsFinalizing"],
        0,
        0,
    )


_CLOSE = """try:
 import posix
 for end in (%(read)d, %(write)d):
  try: found = posix.fstat(end)
  except OSError: continue
  if found.st_mode & 0o170000 == 0o010000 and found.st_ino == %(inode)d: posix.close(end)
except BaseException: pass
"""
"""The numbers of the reply pipe's ends may be the program's by now."""

TAKEN_BACK = f"exec({_CLOSE!r},{{}})\n"
"""Runs instead of the program: closes the reply pipe."""

_MOST = 64
"""Anonymous executable regions inspected; a program without a JIT has none."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """``since``: wall seconds.  ``taken_back``: it was withdrawn and does nothing when it runs.

    ``thread``: its id, as the process numbers it; 0: it has not begun.  ``entered``: it has got the GIL once.
    """

    pid: int
    since: float
    taken_back: bool
    thread: int
    entered: bool
    block: int
    texts: tuple[int, int]

    def take_back(self) -> None:
        """Withdraws it: it will do nothing when it runs.  Raises OSError."""
        self._point_to(self.texts[1])

    def renew(self) -> None:
        """Reinstates it: it will start the agent when it runs.  Raises OSError."""
        self._point_to(self.texts[0])

    def _point_to(self, text: int) -> None:
        with Path(f"/proc/{self.pid}/mem").open("r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), struct.pack("<Q", text), self.block + ARGUMENT_AT + _TEXT)

    def __str__(self) -> str:
        return f"an attempt to attach from {time.strftime('%H:%M:%S', time.localtime(self.since))}"


def waiting(pid: int) -> Attempt | None:
    """The pending attempt in process ``pid``, if any.  Raises OSError."""
    blocks = [each.end - procfs.PAGE for each in procfs.maps(pid) if each.executable and not each.path]
    if not blocks:
        return None
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for block in blocks[:_MOST]:
            found = _attempt(pid, memory.fileno(), block)
            if found is not None:
                return found
    return None


def _attempt(pid: int, memory: int, block: int) -> Attempt | None:
    try:
        code = os.pread(memory, RECORD_AT + RECORD.size, block)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None  # it has just run, and freed its memory
    if len(code) < RECORD_AT + RECORD.size or not any(
        code.startswith(each.thread_body) for each in BY_MACHINE.values()
    ):
        return None
    given = code[ARGUMENT_AT:]
    since, program, nothing = RECORD.unpack_from(given, RECORD_AT - ARGUMENT_AT)
    *words, thread, entered = _ARGUMENT.unpack_from(given)
    if not 0 < since <= time.time() + 1:
        return None  # not written yet, or forged
    taken_back = words[_TEXT // 8] == nothing
    return Attempt(pid, since, taken_back, thread, bool(entered), block, (program, nothing))
