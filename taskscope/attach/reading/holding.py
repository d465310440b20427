"""Which thread keeps the GIL, for how long, and in what: told from outside, while no Python code can run.

A thread that has the GIL and has not run since some moment has had it since then: only it can give it back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from taskscope.attach.reading import kernel_threads
from taskscope.text import seconds

if TYPE_CHECKING:
    from taskscope.attach.reading.frames import Gil, Interpreter
    from taskscope.model import Frame

BRIEF = 0.2
"""Seconds for which a thread may keep the GIL while it waits: a page from disk, a short write."""

APART = 0.05
"""Seconds between two looks: who takes the GIL is named an instant later than that it is taken."""


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

    def goes_on(self, before: Held) -> bool:
        """Whether it is the same as an earlier look has shown, and lasts."""
        return self.seconds >= BRIEF and self.same(before)

    @property
    def text(self) -> str:
        """What it does, without a full stop."""
        within = f" in `{self.function or self.call}`" if self.function or self.call else ""
        if self.call and self.function and self.call not in self.function:
            within += f" (system call {self.call})"
        by = f", called from {place(self.line)}" if self.line is not None else ""
        held = f"thread {self.tid} has held the GIL for {seconds(self.seconds)}{within}{by}"
        return f"{held}; no Python code can run in this process"


def place(frame: Frame) -> str:
    """``bridge.py:88 heartbeat``."""
    return f"{PurePath(frame.file).name}:{frame.line} {frame.function}"


def held(interpreter: Interpreter) -> Held | None:
    """Who keeps the GIL while it waits, for more than a moment; None: nobody does.  Raises OSError.

    Takes as long as that moment if somebody seems to.
    """
    found = seen(interpreter, interpreter.gil())
    while found is not None:
        time.sleep(APART)
        again = seen(interpreter, interpreter.gil())
        if again is not None and again.goes_on(found):
            return again
        found = again if again is not None and again.same(found) else None
    return None


def seen(interpreter: Interpreter, gil: Gil) -> Held | None:
    """What one look shows: the thread that has the GIL waits.  Raises OSError."""
    if not gil.state:
        return None
    memory, stack = interpreter.memory, interpreter.stack(gil.state)
    holder = kernel_threads.numbered(memory.pid, stack.native)
    if holder is None or not holder.waits:
        return None
    lasted = kernel_threads.asleep_for(memory.pid, holder.tid)
    if lasted is None:
        return None
    return Held(
        holder.tid,
        lasted,
        kernel_threads.function_of(memory, holder),
        holder.call,
        stack.frames[0] if stack.frames else None,
        gil.switches,
    )
