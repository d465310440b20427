"""Which code uses the CPU: by thread, site, task and stack."""

from __future__ import annotations

from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["CpuSlice", "CpuStack", "CpuThread"]


@dataclass(frozen=True, slots=True)
class CpuThread:
    """A thread of Python, and the ``seconds`` of CPU that it used."""

    ident: int
    name: str
    seconds: float
    agent: bool = False


@dataclass(frozen=True, slots=True)
class CpuStack:
    """A stack that used ``seconds`` of CPU on ``looks`` looks.

    ``site`` and ``work``: of the task that ran, and its coroutine; of a loop's other callbacks, site 0 and
    their function; of other threads, site 0 and "".  ``frames``: indexes into ``CpuSlice.frames``, outermost
    first, from the loop inwards.  ``loop``: it is of a loop's thread.
    """

    thread: int
    site: int
    work: str
    loop: bool
    seconds: float
    looks: int
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CpuSlice:
    """The CPU of a process over ``seconds``, at ``looks`` looks.

    ``cpu``: seconds of CPU of all its threads, native ones too; ``cost``: those of the agent's own.
    ``unlisted``: seconds of stacks that were left out.
    """

    monotonic: float
    seconds: float
    looks: int
    cpu: float
    cost: float
    frames: tuple[Frame, ...] = ()
    threads: tuple[CpuThread, ...] = ()
    stacks: tuple[CpuStack, ...] = ()
    unlisted: float = 0.0
