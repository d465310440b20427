"""The shape of what injection needs to know about a processor; one module here for each."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Self

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]
    """``read(address, size)`` of a process's memory; raises OSError."""

WORD = 1 << 64

_FUTEX_WAIT_BITSET = 9  # condition variables and semaphores; a contended mutex uses FUTEX_WAIT instead
_FUTEX_COMMAND = 0x7F

_HARMLESS = frozenset(
    {
        *("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"),
        *("nanosleep", "clock_nanosleep", "restart_syscall"),
        *("read", "write", "writev", "recvfrom", "recvmsg", "recvmmsg", "sendto"),
        *("accept", "accept4", "connect", "wait4", "waitid", "pause", "rt_sigtimedwait", "rt_sigsuspend"),
        *("io_getevents", "io_uring_enter"),
    }
)


class Registers(ctypes.Structure):
    """General registers of a stopped thread, in the kernel's order."""

    @property
    def instruction(self) -> int:
        """The address of the next instruction."""
        raise NotImplementedError

    @property
    def result(self) -> int:
        """What a function or a system call has returned."""
        raise NotImplementedError

    def system_call(self, read: Read) -> tuple[int, int] | None:
        """Number and second argument of the system call that the thread is inside of."""
        raise NotImplementedError

    def repeats(self, read: Read) -> int:
        """The address after the system call that the thread is about to make again.

        0: there is none, or the kernel sees to it after the stop.
        """
        raise NotImplementedError

    def entering_syscall(self, instruction: int, number: int, arguments: tuple[int, ...]) -> Self:
        """Registers for one system call, by the instruction there."""
        raise NotImplementedError

    def entering_call(self, stub: int, stack: int, function: int, arguments: tuple[int, ...]) -> Self:
        """Registers for calling ``function`` through ``Architecture.call`` at ``stub``.

        ``stack`` is where its stack ends, aligned to 16.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Architecture:
    """``machine`` is its number in ELF files; ``calls`` are the numbers of system calls.

    ``extended``: the kernel's numbers for the registers beside the general ones; the first that it knows
    counts.  ``call_number``: likewise for the number of a system call, if it is not a general register.
    ``syscall``: the instruction that enters the kernel; instructions are at multiples of ``alignment``.
    ``call``: calls a function, then traps; ``call_returns`` is the offset of the next instruction then.
    ``thread_body``: what the new thread runs; its argument points to ``attempt.argument``.
    """

    name: str
    machine: int
    calls: dict[str, int]
    registers: type[Registers]
    extended: tuple[int, ...]
    call_number: int | None
    syscall: bytes
    alignment: int
    call: bytes
    call_returns: int
    thread_body: bytes

    def harmless(self, number: int, operation: int) -> bool:
        """Whether a thread blocked in this system call (``operation``: its second argument) holds no C
        library lock, so that functions may be called on it.
        """
        if number == self.calls["futex"]:
            return operation & _FUTEX_COMMAND == _FUTEX_WAIT_BITSET
        return any(number == self.calls.get(name) for name in _HARMLESS)
