"""64-bit ARM on Linux: registers, and two pieces of machine code.

The kernel repeats an interrupted system call differently here.  Before the thread stops, it is put back to
the instruction that enters the kernel, with the registers it had: restoring these makes the call again.  A
relative sleep would then take its whole time once more.  So a thread found in one is let go first: the kernel
lets it sleep on in ``restart_syscall``, which knows what is left.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Self

from taskscope import kernel_calls
from taskscope.attach.architectures.base import WORD, Architecture, Registers

if TYPE_CHECKING:
    from taskscope.attach.architectures.base import Read

_SVC = (0xD4000001).to_bytes(4, "little")  # svc #0
_CALLS = kernel_calls.NUMBERS["aarch64"]
_ABSOLUTE = 1  # TIMER_ABSTIME
_LANDING = 0x3 << 10
"""Bits of ``pstate`` (BTYPE) that are set after an indirect jump, which only some instructions may follow."""


class _Registers(Registers):
    """``struct user_pt_regs``."""

    _fields_ = (("x", ctypes.c_uint64 * 31), *((name, ctypes.c_uint64) for name in ("sp", "pc", "pstate")))

    x: ctypes.Array[ctypes.c_uint64]
    sp: int
    pc: int
    pstate: int

    @property
    def instruction(self) -> int:
        return self.pc

    @property
    def result(self) -> int:
        return self.x[0]

    def system_call(self, read: Read) -> tuple[int, int] | None:
        """Also one that has just returned, as ``epoll_pwait`` does when it is interrupted."""
        number, second = self.x[8], self.x[1]
        if self.repeats(read):
            relative = number == _CALLS["clock_nanosleep"] and not second & _ABSOLUTE
            return (-1, 0) if relative or number == _CALLS["nanosleep"] else (number, second)
        return (number, second) if read(self.pc - 4, 4) == _SVC else None

    def repeats(self, read: Read) -> int:
        return self.pc + 4 if read(self.pc, 4) == _SVC else 0

    def entering_syscall(self, instruction: int, number: int, arguments: tuple[int, ...]) -> Self:
        registers = self._entering(instruction, arguments)
        registers.x[8] = number
        return registers

    def entering_call(self, stub: int, stack: int, function: int, arguments: tuple[int, ...]) -> Self:
        registers = self._entering(stub, arguments)
        registers.x[16], registers.sp = function, stack
        return registers

    def _entering(self, instruction: int, arguments: tuple[int, ...]) -> Self:
        registers = type(self).from_buffer_copy(self)
        for place, value in enumerate(arguments):
            registers.x[place] = value % WORD
        registers.pc = instruction
        registers.pstate &= ~_LANDING
        return registers


def _code(*instructions: int) -> bytes:
    return b"".join(each.to_bytes(4, "little") for each in instructions)


_CALL = _code(
    0xD63F0200,  # blr x16
    0xD4200000,  # brk #0
)

_THREAD_BODY = _code(
    0xA9BE7BFD,  # stp  x29, x30, [sp, #-32]!
    0x910003FD,  # mov  x29, sp
    0xA90153F3,  # stp  x19, x20, [sp, #16]
    0xAA0003F3,  # mov  x19, x0
    0xD2801648,  # mov  x8, #178
    0xD4000001,  # svc  #0                  gettid()
    0xB9004260,  # str  w0, [x19, #64]
    0xF9400270,  # ldr  x16, [x19]
    0xD63F0200,  # blr  x16                 PyGILState_Ensure()
    0x2A0003F4,  # mov  w20, w0
    0x52800028,  # mov  w8, #1
    0xB9004668,  # str  w8, [x19, #68]
    0xF9401E70,  # ldr  x16, [x19, #56]
    0xD63F0200,  # blr  x16                 Py_IsFinalizing()
    0x35000080,  # cbnz w0, over the next three
    0xF9400E60,  # ldr  x0, [x19, #24]
    0xF9400670,  # ldr  x16, [x19, #8]
    0xD63F0200,  # blr  x16                 PyRun_SimpleString(text)
    0x2A1403E0,  # mov  w0, w20
    0xF9400A70,  # ldr  x16, [x19, #16]
    0xD63F0200,  # blr  x16                 PyGILState_Release(state)
    0xA9420660,  # ldp  x0, x1, [x19, #32]
    0xF9401A70,  # ldr  x16, [x19, #48]
    0xA94153F3,  # ldp  x19, x20, [sp, #16]
    0xA8C27BFD,  # ldp  x29, x30, [sp], #32
    0xD61F0200,  # br   x16                 munmap(block, size), returning to who called us
)

AARCH64 = Architecture(
    name="arm64",
    machine=183,
    calls=_CALLS,
    registers=_Registers,
    extended=(0x405, 2),  # NT_ARM_SVE, NT_PRFPREG
    call_number=0x404,  # NT_ARM_SYSTEM_CALL
    syscall=_SVC,
    alignment=4,
    call=_CALL,
    call_returns=4,
    thread_body=_THREAD_BODY,
)
