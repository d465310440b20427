"""Which thread keeps the GIL, for how long, and in what: told from outside, while no Python code can run.

A thread that has the GIL and has not run since some moment has had it since then: only it can give it back.
One that runs gives it back within milliseconds if another one asks, unless it is in C code.  If none asks, it
is in C code if its innermost frame stands at one instruction whenever one looks: in one call, or in one after
another from there.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from taskscope.attach.reading import kernel_threads
from taskscope.model import user_line
from taskscope.text import seconds
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.attach.reading.frames import Gil, Interpreter
    from taskscope.model import Frame

SOON, QUIETLY = 1.0, 5.0
"""Seconds after which it is worth a word: if other threads want to run, and if none does."""

BRIEF = 0.2
"""Seconds for which a thread may keep the GIL: a page from disk, a short write, a computation."""

KEEPS = 0.05
"""Seconds of CPU that one uses meanwhile, unless it waits: Python gives it back after a tenth of that."""

APART = 0.05
"""Seconds between two looks: who takes the GIL is named an instant later than that it is taken."""

LONGEST = 1.0
"""Seconds for which one looks on."""

GLANCES, QUICK, PAUSE = 20, 10, 0.0005
"""Times that a frame is looked at, so many at once: code that runs stands elsewhere at one of them."""

_FOLDERS = re.compile(r".*/(?:python\d[^/]*|site-packages|dist-packages)/")
"""Where libraries are."""

_LOOPS = {
    (3, 11): {38, 140},
    (3, 12): {140, 246},
    (3, 13): {70, 77, 249},
    (3, 14): {75, 175, 176, 253, 255},
    (3, 15): {74, 181, 182, 252, 254},
}
"""Instructions that jump back, by version: Python code that loops may well stand at the same one always."""


@dataclass(frozen=True, slots=True)
class Held:
    """Thread ``tid`` has kept the GIL ``since`` a monotonic time, in ``function``, called at ``stack``.

    ``busy``: it computes, else it waits, in the system call ``call``.  ``asked``: others wait for the GIL.
    ``switches``: how often that had changed hands before.  ``place``: where its innermost frame stands.
    As of ``moment``; ``cpu``: the seconds that the thread had used then, ``used`` those of them since.
    ``seen``: at two looks.
    """

    tid: int
    since: float
    moment: float
    function: str
    call: str
    stack: tuple[Frame, ...]
    switches: int
    place: tuple[int, int]
    busy: bool
    asked: bool
    cpu: float
    used: float = 0.0
    seen: bool = False

    @property
    def seconds(self) -> float:
        return self.moment - self.since

    def goes_on(self, before: Held) -> bool:
        """Whether it is the same as an earlier look has shown."""
        if not self.same_holder(before) or self.busy != before.busy:
            return False
        return not self.busy or self.asked or self.place == before.place

    def same_holder(self, other: Held) -> bool:
        """Whether nobody else had the GIL in between."""
        return (self.tid, self.switches) == (other.tid, other.switches)

    def after(self, before: Held) -> Held:
        """With what an earlier look knows of the same."""
        used = before.used + self.cpu - before.cpu
        return replace(
            self, since=min(self.since, before.since) if self.busy else self.since, used=used, seen=True
        )

    @property
    def lasts(self) -> bool:
        return self.seen and self.seconds >= BRIEF and (not self.busy or self.used >= KEEPS)

    @property
    def matters(self) -> bool:
        """Whether it is worth a word of its own."""
        return self.seconds >= (QUIETLY if self.for_nobody else SOON)

    @property
    def for_nobody(self) -> bool:
        """Whether no other thread wants to run."""
        return self.busy and not self.asked

    @property
    def text(self) -> str:
        """What it does, without a full stop."""
        by = f", called from {place(self.stack)}" if self.stack else ""
        others = (
            "no other thread asks for it" if self.for_nobody else "no Python code can run in this process"
        )
        return f"thread {self.tid} has held the GIL for {self.doing}{by}; {others}"

    @property
    def doing(self) -> str:
        """For how long, and in what."""
        lasted = seconds(self.seconds) if self.seconds >= 1 else f"{self.seconds:.1f} s"
        if self.busy:
            return f"at least {lasted}, busy in C code" + (f" of `{self.function}`" if self.function else "")
        within = f" in `{self.function or self.call}`" if self.function or self.call else ""
        if self.call and self.function and self.call not in self.function:
            within += f" (system call {self.call})"
        return lasted + within


def place(frames: Sequence[Frame]) -> str:
    """The line of a stack that its user knows: ``bridge.py:88 heartbeat``."""
    frame = user_line(frames) or frames[0]
    return f"{PurePath(frame.file).name}:{frame.line} {frame.function}"


class Holding:
    """Looks at who keeps the GIL of a process, again and again.

    ``from_others``: who computes is told only if others ask for it.
    """

    def __init__(self, interpreter: Interpreter, *, from_others: bool = False) -> None:
        self._interpreter = interpreter
        self._from_others = from_others
        self._known: Held | None = None

    def look(self) -> Held | None:
        """Who keeps it for more than a moment; None: nobody does.  Raises OSError.

        Takes as long as that moment if somebody seems to.
        """
        until = time.monotonic() + LONGEST
        self._interpreter.memory.look_again(LONGEST)
        self._interpreter.code.look_again()
        found = self._seen()
        while found is not None and not found.lasts and time.monotonic() < until:
            time.sleep(APART)
            again = self._seen()
            found = again if again is not None and again.seen else None
        return found if found is not None and found.lasts else None

    def _seen(self) -> Held | None:
        """What one look shows, with what the last one knows of the same."""
        found = _seen(self._interpreter, from_others=self._from_others)
        if found is not None and self._known is not None and found.goes_on(self._known):
            found = found.after(self._known)
        self._known = found
        return found


def _seen(interpreter: Interpreter, *, from_others: bool) -> Held | None:
    """The thread that has the GIL waits, or is in C code.  Raises OSError."""
    gil, memory = interpreter.gil(), interpreter.memory
    if not gil.state:
        return None
    stack, place = interpreter.stack(gil.state), interpreter.place(gil.state)
    holder = kernel_threads.numbered(memory.pid, stack.native)
    if holder is None or not (holder.waits or holder.state == "R"):
        return None
    busy = not holder.waits
    if busy and not gil.asked and (from_others or not _stands(interpreter, gil, place)):
        return None
    now = time.monotonic()
    lasted = 0.0 if busy else kernel_threads.asleep_for(memory.pid, holder.tid)
    if lasted is None:
        return None
    return Held(
        tid=holder.tid,
        since=now - lasted,
        moment=now,
        function=_library(stack.frames) if busy else kernel_threads.function_of(memory, holder),
        call=holder.call,
        stack=stack.frames,
        switches=gil.switches,
        place=place,
        busy=busy,
        asked=gil.asked,
        cpu=holder.cpu,
    )


def _stands(interpreter: Interpreter, gil: Gil, place: tuple[int, int]) -> bool:
    """Whether the thread that has the GIL stands at one place whenever one looks, and not in a loop there."""
    frame, instruction = place
    loops = _LOOPS.get(interpreter.python.version[:2], set())
    if frame and interpreter.memory.read(instruction, 1)[0] in loops:
        return False
    for _ in range(GLANCES):
        if any(interpreter.place(gil.state) != place for _ in range(QUICK)):
            return False
        now = interpreter.gil()
        if (now.state, now.switches) != (gil.state, gil.switches):
            return False
        time.sleep(PAUSE)
    return True


def _library(frames: tuple[Frame, ...]) -> str:
    """The function of a library that calls C code: ``re.match``; "" if the program does."""
    if not frames or frames[0].origin == "user":
        return ""
    path = _FOLDERS.sub("", frames[0].file).removesuffix(".py").removesuffix("/__init__")
    return f"{path.removeprefix('<frozen ').removesuffix('>').replace('/', '.')}.{frames[0].function}"
