"""One thread of another process, stopped briefly through the kernel's ptrace interface.

Only this thread stops; the others keep running.  Its signals are blocked meanwhile, so that none is lost or
delivered during a call made on its behalf, and a thread created meanwhile starts with all of them blocked.
``release`` restores everything; it is the only exit and always runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import time
from typing import TYPE_CHECKING, Self

from taskscope.attach import procfs

if TYPE_CHECKING:
    from types import TracebackType

    from taskscope.attach.architectures import Architecture
    from taskscope.attach.architectures.base import Registers

    _Set = ctypes.Structure | ctypes.Array[ctypes.c_char] | ctypes.c_int

_CONT, _SINGLESTEP, _DETACH, _SYSCALL, _POKEDATA = 7, 9, 17, 24, 5
_GETREGSET, _SETREGSET = 0x4204, 0x4205
_SEIZE, _INTERRUPT = 0x4206, 0x4207
_GETSIGMASK, _SETSIGMASK = 0x420A, 0x420B
_EVENT_STOP = 128
_WALL = 0x40000000

_GENERAL = 1  # NT_PRSTATUS
_EXTENDED_SIZE = 16384  # with AMX it is 11 KB

_FAULTS = (signal.SIGTRAP, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
_BLOCKED = ((1 << 64) - 1) & ~sum(1 << (number - 1) for number in _FAULTS)
"""Every signal except those an instruction can raise: blocked, these would kill the process."""

STOP_SECONDS = 5.0
"""Seconds for a thread to stop, or for a call made on its behalf to return."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Stuck(Exception):
    """The thread did not stop, or a call made on its behalf did not return."""


class Gone(Exception):
    """The thread ended meanwhile."""


class Taken(Exception):
    """Another process traces the thread: a client that attached first, or a debugger."""


class SystemCallError(Exception):
    """A system call made on the thread's behalf was refused, with this ``errno``."""

    def __init__(self, number: int, code: int) -> None:
        super().__init__(f"system call {number} on its behalf: {os.strerror(code)}")
        self.errno = code


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, tid, address, data) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def is_forbidden() -> bool:
    """Whether a seccomp profile keeps us from tracing anything, even a thread that does not exist."""
    try:
        _ptrace(_SEIZE, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return False


def _traced(tid: int) -> bool:
    return procfs.status(tid).get("TracerPid", "0") != "0"


class StoppedThread:
    """A context in which thread ``tid`` of process ``pid`` is stopped.

    Raises OSError (may not be traced), Taken, Gone, Stuck.  Afterwards ``seconds`` is how long it was
    stopped. ``settled`` is false if it was about to receive a signal: then release it at once.
    """

    def __init__(self, architecture: Architecture, pid: int, tid: int) -> None:
        self.tid = tid
        self._architecture = architecture
        self.seconds = 0.0
        self._pid = pid
        self._late: list[int] = []
        self._changed = False
        self._alive = True

    def __enter__(self) -> Self:
        self._memory = os.open(f"/proc/{self._pid}/task/{self.tid}/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            _ptrace(_SEIZE, self.tid)
        except BaseException:
            os.close(self._memory)
            if _traced(self.tid):
                raise Taken(f"thread {self.tid} is being traced") from None
            raise
        self._since = time.monotonic()
        try:
            _ptrace(_INTERRUPT, self.tid)
            number, event = self._wait()
            self.settled = event == _EVENT_STOP
            if not self.settled:
                self._late.append(number)
            self.registers = self._read_registers()
        except BaseException:
            self.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def read(self, address: int, size: int) -> bytes:
        return os.pread(self._memory, size, address)

    def write(self, address: int, data: bytes) -> None:
        """Writes to memory that the process itself can write to."""
        os.pwrite(self._memory, data, address)

    def write_code(self, address: int, code: bytes) -> None:
        """Writes to executable memory that was never writable, as only a tracer may."""
        for offset in range(0, len(code), 8):
            word = int.from_bytes(code[offset : offset + 8].ljust(8, b"\xcc"), "little")
            _ptrace(_POKEDATA, self.tid, address + offset, word)

    def take(self) -> None:
        """Saves the state to restore.  The thread is ours until ``release``."""
        self._extended = self._read_extended()
        self._repeats = self.registers.repeats(self.read)
        self._mask = ctypes.c_uint64()
        _ptrace(_GETSIGMASK, self.tid, 8, ctypes.addressof(self._mask))
        self._changed = True
        _ptrace(_SETSIGMASK, self.tid, 8, ctypes.addressof(ctypes.c_uint64(_BLOCKED)))

    def syscall(self, instruction: int, number: int, *arguments: int) -> int:
        """Makes the thread run one system call, at a ``syscall`` instruction.  Raises SystemCallError."""
        self._write_registers(self.registers.entering_syscall(instruction, number, arguments))
        end = instruction + len(self._architecture.syscall)
        result = ctypes.c_int64(self._run_to(end, _SINGLESTEP).result).value
        if -4096 < result < 0:
            raise SystemCallError(number, -result)
        return result

    def call(self, stub: int, stack: int, function: int, *arguments: int) -> int:
        """Makes the thread call a C function; its ``int`` result.  ``stub``: the code for it."""
        self._write_registers(self.registers.entering_call(stub, stack, function, arguments))
        return self._run_to(stub + self._architecture.call_returns, _CONT).result & 0xFFFFFFFF

    def _run_to(self, address: int, request: int) -> Registers:
        while True:
            _ptrace(request, self.tid)
            try:
                number, event = self._wait()
            except Stuck:
                _ptrace(_INTERRUPT, self.tid)
                self._wait()
                raise
            registers = self._read_registers()
            if number == signal.SIGTRAP and not event and registers.instruction == address:
                return registers
            if event != _EVENT_STOP and number != signal.SIGTRAP:
                if number in _FAULTS:
                    raise Stuck(f"signal {number} in a call made on its behalf")
                self._late.append(number)

    def _wait(self) -> tuple[int, int]:
        """Waits until the thread stops; returns the signal and the ptrace event that stopped it."""
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            found, status = os.waitpid(self.tid, os.WNOHANG | _WALL)
            if found:
                break
            if time.monotonic() > deadline:
                raise Stuck(f"thread {self.tid} did not stop within {STOP_SECONDS:g} s")
            signal.sigtimedwait({signal.SIGCHLD}, 0.001)
        if not os.WIFSTOPPED(status):
            self._alive = False
            raise Gone(f"thread {self.tid} has ended")
        return os.WSTOPSIG(status), status >> 16

    def release(self) -> None:
        """Restores registers and signals, and resumes the thread."""
        try:
            if self._alive:
                if self._changed:
                    self._changed = False
                    self._restore()
                _ptrace(_DETACH, self.tid, 0, self._late.pop(0) if self._late else 0)
                for number in self._late:
                    os.kill(self._pid, number)
        except (ProcessLookupError, Gone):
            pass  # it was killed meanwhile: nothing to restore
        finally:
            self._alive = False
            self.seconds = time.monotonic() - self._since
            os.close(self._memory)

    def _restore(self) -> None:
        self._set(*self._extended)
        self._write_registers(self.registers)
        if self._repeats:
            # A signal that came meanwhile must find the thread inside of its call, and end that.
            with contextlib.suppress(Stuck):
                self._run_to(self._repeats, _SYSCALL)
        _ptrace(_SETSIGMASK, self.tid, 8, ctypes.addressof(self._mask))

    def _read_registers(self) -> Registers:
        registers = self._architecture.registers()
        self._get(_GENERAL, registers)
        return registers

    def _read_extended(self) -> tuple[int, ctypes.Array[ctypes.c_char]]:
        """The first set of further registers that this machine has, and its number."""
        for number in self._architecture.extended:
            registers = ctypes.create_string_buffer(_EXTENDED_SIZE)
            try:
                size = self._get(number, registers)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            else:
                return number, ctypes.create_string_buffer(registers.raw[:size], size)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def _write_registers(self, registers: Registers) -> None:
        self._set(_GENERAL, registers)
        if self._architecture.call_number is not None:
            self._set(self._architecture.call_number, ctypes.c_int(-1))

    def _get(self, number: int, registers: _Set) -> int:
        """Reads a set of registers; its size."""
        vector = _Vector(ctypes.addressof(registers), ctypes.sizeof(registers))
        _ptrace(_GETREGSET, self.tid, number, ctypes.addressof(vector))
        return int(vector.size)

    def _set(self, number: int, registers: _Set) -> None:
        vector = _Vector(ctypes.addressof(registers), ctypes.sizeof(registers))
        _ptrace(_SETREGSET, self.tid, number, ctypes.addressof(vector))
