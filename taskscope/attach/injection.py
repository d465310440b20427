"""Starts a thread in another process that takes the GIL and runs a piece of Python.

One thread of the target is stopped at a safe point for about 1 ms.  On its behalf two memory regions are
mapped and a thread is created with ``pthread_create``; then everything is restored.  The new thread waits for
the GIL like any other, runs the text, frees its memory and ends.  Until then its memory marks a pending
attempt (``attempt.py``), and the next client to attach waits for it instead of adding another.

A safe point is one where the stopped thread holds no lock that ``pthread_create`` needs (above all malloc's):
blocked in a harmless system call, or executing the interpreter's own instructions.  A thread anywhere else is
released untouched and retried.  ``PyThread_start_new_thread`` would not do: under tracemalloc it takes the
GIL, which the stopped thread may be waiting for.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from taskscope.attach import attempt, procfs, ptrace
from taskscope.attach.errors import AttachError
from taskscope.attach.target import explained
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.attach.architectures import Architecture
    from taskscope.attach.target import Target

_PAGE = procfs.PAGE
_STACK = 1 << 16
_READ_WRITE, _READ_EXECUTE = 3, 5
_PRIVATE, _PRIVATE_HERE = 0x22, 0x32  # MAP_PRIVATE | MAP_ANONYMOUS (| MAP_FIXED)
_DONT_FORK = 10  # MADV_DONTFORK
_TEXT_AT = attempt.RECORD_AT + attempt.RECORD.size

_PAUSES = (0.0005, 0.001, 0.002, 0.003, 0.005)
"""Seconds between tries; with the stops themselves at most 10 % of a busy thread's time."""

_WRAPPER = 64
"""Bytes of a function that only makes a system call."""

_MOST = 16
"""Most threads tried per round."""

Program = str
"""Python text with ``%(read)d``, ``%(write)d`` and ``%(inode)d`` as placeholders for the reply pipe."""


@dataclass(frozen=True, slots=True)
class Injection:
    """The result: the thread that was stopped, the longest of ``tries`` stops in seconds, and our end of the
    reply pipe.
    """

    thread: int
    tries: int
    stopped: float
    reply: int


def inject(target: Target, program: Program, seconds: float, wanted: Callable[[], bool]) -> Injection:
    """Starts the thread; searches up to ``seconds`` for a safe point while it is ``wanted``.

    Raises AttachError.
    """
    deadline = time.monotonic() + seconds
    tries, longest = 0, 0.0
    with explained(target.pid):
        instruction = _syscall_instruction(target)
    while True:
        for tid in _candidates(target):
            with explained(target.pid):
                thread = ptrace.StoppedThread(target.architecture, target.pid, tid)
                reply = _try(target, thread, instruction, program)
            tries += 1
            longest = max(longest, thread.seconds)
            if reply is not None:
                return Injection(tid, tries, longest, reply)
            if time.monotonic() > deadline or not wanted():
                raise AttachError(
                    f"no thread of process {target.pid} was at a safe point in {tries} tries: "
                    "it is busy in native code",
                    "try again",
                )
            time.sleep(_PAUSES[tries % len(_PAUSES)])


SAFE, RUNNING, ELSEWHERE = "safe", "running", "elsewhere"


def places(architecture: Architecture, pid: int) -> list[tuple[int, str]]:
    """Its threads (native ids) and where each is now: SAFE, RUNNING (perhaps safe) or ELSEWHERE.

    Raises AttachError.
    """
    found = []
    with explained(pid):
        for tid in procfs.threads(pid):
            try:
                call = procfs.blocked_in(pid, tid)
            except OSError:
                continue  # the thread has just ended
            if call is None:
                found.append((tid, RUNNING))
            else:
                safe = call[0] >= 0 and architecture.harmless(call[0], call[2])
                found.append((tid, SAFE if safe else ELSEWHERE))
    return found


def _candidates(target: Target) -> list[int]:
    """The threads worth stopping, most promising first."""
    found = places(target.architecture, target.pid)
    promising = [tid for wanted in (SAFE, RUNNING) for tid, place in found if place == wanted]
    return promising[:_MOST] or [target.pid]


def _try(target: Target, thread: ptrace.StoppedThread, instruction: int, program: Program) -> int | None:
    try:
        with thread:
            if not _is_safe(target, thread):
                return None
            thread.take()
            return _start(target, thread, instruction, program)
    except ptrace.Stuck as error:
        raise AttachError(f"process {target.pid} is left unchanged: {error}", "try again") from None
    except ptrace.SystemCallError as error:
        raise AttachError(f"process {target.pid} is left unchanged: {_refusal(error)}", _REMEDY) from None
    except (ptrace.Gone, ptrace.Taken):
        return None
    except (FileNotFoundError, ProcessLookupError):
        if procfs.ended(target.pid):
            raise
        return None  # only this thread has ended


_REMEDY = "one of its limits, or a security policy (SELinux, seccomp), prevents it"


def _refusal(error: ptrace.SystemCallError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "it has no free file descriptors"
    return "it may have no more memory" if error.errno == errno.ENOMEM else str(error)


def _is_safe(target: Target, thread: ptrace.StoppedThread) -> bool:
    if not thread.settled:
        return False
    call = thread.registers.system_call(thread.read)
    if call is not None:
        return target.architecture.harmless(*call)
    return any(thread.registers.instruction in text for text in target.text)


def _syscall_instruction(target: Target) -> int:
    """Address of the instruction that enters the kernel in ``munmap``, where no thread ever waits: the kernel
    treats one specially that a thread may be about to repeat.

    Raises AttachError, OSError.
    """
    wanted, step = target.architecture.syscall, target.architecture.alignment
    start = target.addresses["munmap"]
    with Path(f"/proc/{target.pid}/mem").open("rb", buffering=0) as memory:
        code = os.pread(memory.fileno(), _WRAPPER, start)
    for offset in range(0, len(code), step):
        if code.startswith(wanted, offset):
            return start + offset
    raise AttachError(f"the C library of process {target.pid} enters the kernel in an unknown way")


class _Scratch:
    """Memory in the target for calling functions on the stopped thread.

    A context manager: unmaps the memory on exit, unless the thread is stuck.
    """

    def __init__(self, architecture: Architecture, thread: ptrace.StoppedThread, instruction: int) -> None:
        self._architecture = architecture
        self._thread = thread
        self._instruction = instruction

    def __enter__(self) -> Self:
        self._start = self.mapped(_PAGE + _STACK)
        self.slot = self._start + _PAGE + _STACK - 64
        self._thread.write_code(self._start, self._architecture.call)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None or issubclass(kind, (AttachError, ptrace.SystemCallError)):
            self.syscall("munmap", self._start, _PAGE + _STACK)

    def syscall(self, name: str, *arguments: int) -> int:
        return self._thread.syscall(self._instruction, self._architecture.calls[name], *arguments)

    def call(self, function: int, *arguments: int) -> int:
        """Calls a C function; its ``int`` result.  Results by reference go to ``slot``, 64 bytes."""
        return self._thread.call(self._start, self.slot, function, *arguments)

    def mapped(self, size: int) -> int:
        """New memory whose first page is executable and was never writable, as hardened targets require."""
        start = self.syscall("mmap", 0, size, _READ_WRITE, _PRIVATE, -1, 0)
        return self.syscall("mmap", start, _PAGE, _READ_EXECUTE, _PRIVATE_HERE, -1, 0)

    def pipe(self) -> tuple[int, int]:
        """Read and write end of a new pipe of the target's."""
        self.syscall("pipe2", self.slot, os.O_CLOEXEC)
        ends = self._thread.read(self.slot, 8)
        return int.from_bytes(ends[:4], "little"), int.from_bytes(ends[4:], "little")

    def word(self) -> int:
        """The word in ``slot``."""
        return int.from_bytes(self._thread.read(self.slot, 8), "little")


def _start(target: Target, thread: ptrace.StoppedThread, instruction: int, program: Program) -> int:
    """Starts the new thread; returns our end of the reply pipe.  Raises AttachError, SystemCallError."""
    addresses = target.addresses
    with _Scratch(target.architecture, thread, instruction) as scratch:
        if not scratch.call(addresses["Py_IsInitialized"]):
            raise AttachError(f"the interpreter of process {target.pid} is starting or ending", "try again")
        read, write = scratch.pipe()
        reply, inode = _read_end(target.pid, read)
        names = {"read": read, "write": write, "inode": inode}
        texts = [(text % names).encode() + b"\0" for text in (program, attempt.TAKEN_BACK)]
        size = (_TEXT_AT + sum(map(len, texts)) + _PAGE - 1) & -_PAGE
        block = scratch.mapped(size)
        scratch.syscall("madvise", block, size, _DONT_FORK)
        starts = block + _TEXT_AT, block + _TEXT_AT + len(texts[0])
        thread.write_code(block, target.architecture.thread_body)
        thread.write(block + attempt.ARGUMENT_AT, attempt.argument(addresses, starts[0], block, size))
        thread.write(block + attempt.RECORD_AT, attempt.RECORD.pack(time.time(), *starts))
        thread.write(block + _TEXT_AT, b"".join(texts))
        failed = scratch.call(
            addresses["pthread_create"], scratch.slot, 0, block, block + attempt.ARGUMENT_AT
        )
        if not failed:
            scratch.call(addresses["pthread_detach"], scratch.word())
            return reply
        os.close(reply)
        scratch.syscall("munmap", block, size)
        scratch.syscall("close", read)
        scratch.syscall("close", write)
        raise AttachError(
            f"process {target.pid} is left unchanged: it cannot start another thread ({os.strerror(failed)})"
        )


def _read_end(pid: int, descriptor: int) -> tuple[int, int]:
    """Our end of the process's pipe ``descriptor``, and its inode.  Raises AttachError.

    The process may have replaced it with another file, one that only we may open, so it is checked before
    it is opened.
    """
    closed = AttachError(f"process {pid} has closed the pipe for the answer", "try again")
    try:
        seen = os.open(f"/proc/{pid}/fd/{descriptor}", os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        raise closed from None
    try:
        found = os.fstat(seen)
        if not stat.S_ISFIFO(found.st_mode):
            raise closed
        return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), found.st_ino
    finally:
        os.close(seen)
