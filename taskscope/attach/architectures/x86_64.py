"""x86-64 on Linux: registers, and two pieces of machine code."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Self

from taskscope import kernel_calls
from taskscope.attach.architectures.base import WORD, Architecture, Registers

if TYPE_CHECKING:
    from taskscope.attach.architectures.base import Read


_SYSCALL_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")


class _Registers(Registers):
    """``struct user_regs_struct``."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
            *("rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base"),
            *("ds", "es", "fs", "gs"),
        )
    )

    rip: int
    rsp: int
    rax: int
    rsi: int
    orig_rax: int
    eflags: int

    @property
    def instruction(self) -> int:
        return self.rip

    @property
    def result(self) -> int:
        return self.rax

    def system_call(self, read: Read) -> tuple[int, int] | None:
        return (self.orig_rax, self.rsi) if self.orig_rax < WORD >> 1 else None

    def repeats(self, read: Read) -> int:
        return 0

    def entering_syscall(self, instruction: int, number: int, arguments: tuple[int, ...]) -> Self:
        return self._entering(_SYSCALL_ARGUMENTS, arguments, rip=instruction, rax=number)

    def entering_call(self, stub: int, stack: int, function: int, arguments: tuple[int, ...]) -> Self:
        flags = self.eflags & ~0x400  # the direction flag is clear at every call
        return self._entering(_ARGUMENTS, arguments, rip=stub, rax=function, rsp=stack, eflags=flags)

    def _entering(self, names: tuple[str, ...], arguments: tuple[int, ...], **more: int) -> Self:
        registers = type(self).from_buffer_copy(self)
        given = dict(zip(names, arguments, strict=False))
        for name, value in {**given, **more}.items():
            setattr(registers, name, value % WORD)
        registers.orig_rax = WORD - 1  # otherwise the kernel would repeat the interrupted call
        return registers


# call *%rax; int3: a real call, so that a shadow stack stays in sync.
_CALL = bytes.fromhex("ffd0 cc")

_THREAD_BODY = bytes.fromhex(
    "53"  #             push %rbx
    "4154"  #           push %r12
    "4883ec08"  #       sub  $8,%rsp           the stack is aligned to 16 from here on
    "4989fc"  #         mov  %rdi,%r12
    "b8ba000000"  #     mov  $186,%eax
    "0f05"  #           syscall                gettid()
    "4189442440"  #     mov  %eax,64(%r12)
    "41ff1424"  #       call *(%r12)           PyGILState_Ensure()
    "89c3"  #           mov  %eax,%ebx
    "41c744244401000000"  # movl $1,68(%r12)
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

X86_64 = Architecture(
    name="x86-64",
    machine=62,
    calls=kernel_calls.NUMBERS["x86_64"],
    registers=_Registers,
    extended=(0x202,),  # NT_X86_XSTATE
    call_number=None,
    syscall=b"\x0f\x05",
    alignment=1,
    call=_CALL,
    call_returns=len(_CALL),
    thread_body=_THREAD_BODY,
)
