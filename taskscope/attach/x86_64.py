"""What injection needs to know about x86-64 Linux: registers, system calls, two pieces of machine code."""

from __future__ import annotations

import ctypes
import struct

_WORD = 1 << 64


class Registers(ctypes.Structure):
    """General registers in the kernel's order (``struct user_regs_struct``)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
            *("rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base"),
            *("ds", "es", "fs", "gs"),
        )
    ]

    rip: int
    rsp: int
    rax: int
    rsi: int
    orig_rax: int
    eflags: int

    def copy(self) -> Registers:
        return Registers.from_buffer_copy(self)


SYSCALL = b"\x0f\x05"
"""The instruction that enters the kernel."""

MMAP, MUNMAP, PIPE2, CLOSE, MADVISE = 9, 11, 293, 3, 28

_FUTEX = 202
_FUTEX_WAIT_BITSET = 9  # condition variables and semaphores; a contended mutex uses FUTEX_WAIT instead
_FUTEX_COMMAND = 0x7F

_HARMLESS = frozenset(
    {
        *(232, 281, 441),  # epoll_wait, epoll_pwait, epoll_pwait2
        *(7, 271, 23, 270),  # poll, ppoll, select, pselect6
        *(35, 230, 219),  # nanosleep, clock_nanosleep, restart_syscall
        *(0, 1, 20),  # read, write, writev
        *(45, 47, 299, 44),  # recvfrom, recvmsg, recvmmsg, sendto
        *(43, 288, 42),  # accept, accept4, connect
        *(61, 247, 34),  # wait4, waitid, pause
        *(128, 130),  # rt_sigtimedwait, rt_sigsuspend
        *(208, 426),  # io_getevents, io_uring_enter
    }
)


def harmless(number: int, operation: int) -> bool:
    """Whether a thread blocked in this system call (``operation``: its second argument) holds no C library
    lock, so that functions may be called on it.
    """
    if number == _FUTEX:
        return operation & _FUTEX_COMMAND == _FUTEX_WAIT_BITSET
    return number in _HARMLESS


# call *%rax; int3: a real call, so that a shadow stack stays in sync.
CALL = bytes.fromhex("ffd0 cc")
CALL_RETURNS = 3
"""Offset of the instruction pointer in ``CALL`` after the function returned and hit the trap."""

# Body of the new thread; its argument points to a Block.
THREAD_BODY = bytes.fromhex(
    "53"  #             push %rbx
    "4154"  #           push %r12
    "4883ec08"  #       sub  $8,%rsp           the stack is aligned to 16 from here on
    "4989fc"  #         mov  %rdi,%r12
    "41ff1424"  #       call *(%r12)           PyGILState_Ensure()
    "89c3"  #           mov  %eax,%ebx
    "41ff542438"  #     call *56(%r12)         Py_IsFinalizing()
    "85c0"  #           test %eax,%eax
    "750a"  #           jnz  over the next two
    "498b7c2418"  #     mov  24(%r12),%rdi
    "41ff542408"  #     call *8(%r12)          PyRun_SimpleString(text)
    "89df"  #           mov  %ebx,%edi
    "41ff542410"  #     call *16(%r12)         PyGILState_Release(state)
    "498b7c2420"  #     mov  32(%r12),%rdi
    "498b742428"  #     mov  40(%r12),%rsi
    "498b442430"  #     mov  48(%r12),%rax
    "4883c408"  #       add  $8,%rsp
    "415c"  #           pop  %r12
    "5b"  #             pop  %rbx
    "ffe0"  #           jmp  *%rax             munmap(block, size), returning to who called us
)


def thread_argument(addresses: dict[str, int], text: int, block: int, size: int) -> bytes:
    """The argument of ``THREAD_BODY``: functions, the program text, and the memory to free at the end."""
    return struct.pack(
        "<8Q",
        addresses["PyGILState_Ensure"],
        addresses["PyRun_SimpleString"],
        addresses["PyGILState_Release"],
        text,
        block,
        size,
        addresses["munmap"],
        addresses["Py_IsFinalizing"],
    )


TEXT_POINTER = 24
"""Offset of the text's address in ``thread_argument``: one aligned word, so it can change atomically."""


def in_syscall(registers: Registers) -> bool:
    """Whether the thread is inside a system call it made."""
    return registers.orig_rax < _WORD >> 1


def entering_syscall(base: Registers, instruction: int, number: int, arguments: tuple[int, ...]) -> Registers:
    """Registers for the one ``syscall`` at ``instruction``."""
    registers = base.copy()
    for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments, strict=False):
        setattr(registers, name, value % _WORD)
    registers.rip, registers.rax = instruction, number
    registers.orig_rax = _WORD - 1  # otherwise the kernel would restart the interrupted call
    return registers


def entering_call(
    base: Registers, stub: int, stack: int, function: int, arguments: tuple[int, ...]
) -> Registers:
    """Registers for calling ``function`` through ``CALL`` at ``stub``.

    ``stack`` is where its stack ends, aligned to 16.
    """
    registers = base.copy()
    for name, value in zip(("rdi", "rsi", "rdx", "rcx", "r8", "r9"), arguments, strict=False):
        setattr(registers, name, value % _WORD)
    registers.rip, registers.rax, registers.rsp = stub, function, stack
    registers.eflags &= ~0x400  # the direction flag is clear at every call
    registers.orig_rax = _WORD - 1
    return registers


def signed(value: int) -> int:
    """A register as the signed result of a system call."""
    return value - _WORD if value >= _WORD >> 1 else value
