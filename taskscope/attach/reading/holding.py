"""Which thread keeps the GIL, for how long, and in what: told from outside, while no Python code can run.

A thread that has the GIL and has not run since some moment has had it since then: only it can give it back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from taskscope.attach.reading import kernel_threads
from taskscope.attach.reading.opening import reading
from taskscope.text import seconds

if TYPE_CHECKING:
    from taskscope.attach.reading.frames import Interpreter, Stacks
    from taskscope.attach.reading.kernel_threads import KernelThread
    from taskscope.model import Frame

BRIEF = 0.2
"""Seconds for which a thread may keep the GIL while it waits: a page from disk, a short write."""

APART = 0.05
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Held:
    """Thread ``tid`` has kept the GIL for ``seconds`` while it waited in ``function``; ``line`` called that.

    ``switches``: how often the GIL had changed hands before.
    """

    tid: int
    seconds: float
    function: str
    call: str
    line: Frame | None
    switches: int

    def same(self, other: Held) -> bool:
        """Whether both tell of the same time: nobody else had the GIL in between."""
        return (self.tid, self.switches) == (other.tid, other.switches)

    @property
    def text(self) -> str:
        """What it does, without a full stop."""
        within = f" in `{self.function or self.call}`" if self.function or self.call else ""
        if self.call and self.function and self.call not in self.function:
            within += f" (system call {self.call})"
        by = f", called from {place(self.line)}" if self.line is not None else ""
        return f"thread {self.tid} has held the GIL for {seconds(self.seconds)}{within}{by}"


def place(frame: Frame) -> str:
    """``bridge.py:88 heartbeat``."""
    return f"{PurePath(frame.file).name}:{frame.line} {frame.function}"


def held(interpreter: Interpreter) -> Held | None:
    """Who keeps the GIL while waiting; None: nobody does, as far as two looks show.  Raises OSError."""
    before = _look(interpreter)
    if before is None:
        return None
    time.sleep(APART)
    after = _look(interpreter)
    return after if after is not None and before.same(after) else None


def kept(pid: int, patience: float) -> Held | None:
    """Who keeps the GIL for ``patience`` seconds from now on, or has for so long; None: nobody does.

    Returns as soon as that is known.  Raises AttachError, OSError.
    """
    deadline = time.monotonic() + patience
    with reading(pid) as interpreter:
        found = held(interpreter)
        while found is not None and found.seconds < patience and time.monotonic() < deadline:
            time.sleep(APART)
            found = held(interpreter)
    return found


def _look(interpreter: Interpreter) -> Held | None:
    return of(interpreter, interpreter.stacks(), kernel_threads.threads(interpreter.memory.pid))


def of(interpreter: Interpreter, stacks: Stacks, threads: dict[int, KernelThread]) -> Held | None:
    """What one look shows: the thread that has the GIL waits, and has done so for more than a moment."""
    memory, holder = interpreter.memory, threads.get(stacks.holder)
    if holder is None or not holder.waits:
        return None
    lasted = kernel_threads.asleep_for(memory.pid, holder.tid)
    if lasted is None or lasted < BRIEF:
        return None
    frames = stacks.lines.get(stacks.holder, ())
    return Held(
        holder.tid,
        lasted,
        kernel_threads.function_of(memory, holder),
        holder.call,
        frames[0] if frames else None,
        stacks.switches,
    )
