"""One look at a process from outside: its meters, its threads, who has the GIL, its tasks."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import procfs
from taskscope.attach.outside import Condition, Outside
from taskscope.attach.reading import kernel_threads
from taskscope.attach.reading.holding import Holding
from taskscope.attach.reading.kernel_threads import MOST_THREADS
from taskscope.attach.reading.memory import AbsentError, MovedError
from taskscope.attach.reading.opening import interpreter_of, opened
from taskscope.attach.reading.tasks import LinkedTasks
from taskscope.attach.reading.thread_names import ThreadNames
from taskscope.attach.reading.weak_tasks import WeakTasks
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.attach.reading.frames import Stacks
    from taskscope.attach.reading.holding import Held
    from taskscope.attach.reading.kernel_threads import KernelThread
    from taskscope.attach.reading.tasks import TaskReader, Tasks

TRIES = 3
"""The process goes on while it is read."""

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Look:
    """``uptime``: of the machine.  ``threads``: some, if many; ``names``: theirs by identity, as far as told.
    ``tasks`` None: this version does not tell where they are, or it has no asyncio.  ``held``: a thread keeps
    the GIL.
    """

    pid: int
    monotonic: float
    wall: float
    uptime: float
    usage: procfs.Usage
    rss: int
    fds: int | None
    stacks: Stacks
    threads: dict[int, KernelThread]
    names: dict[int, str]
    tasks: Tasks | None
    condition: Condition
    held: Held | None

    @property
    def unlisted(self) -> int:
        """Threads beyond those listed."""
        return max(0, self.usage.threads - len(self.threads)) if len(self.threads) >= MOST_THREADS else 0

    @property
    def cpu(self) -> float:
        """Seconds used so far."""
        return self.usage.cpu / _TICK


class Looker:
    """Looks at process ``pid`` again and again.  Raises AttachError if it cannot be read."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._memory = opened(pid)
        try:
            self._interpreter = interpreter_of(self._memory)
        except BaseException:
            self._memory.close()
            raise
        self._outside = Outside(pid, self._interpreter)
        self._tasks: TaskReader | None = None
        self._holding = Holding(self._interpreter)
        self._names = ThreadNames.of(self._interpreter)

    @property
    def python(self) -> str:
        """Its version: ``3.14.7``, ``3.14.7t`` of a free-threaded build."""
        version = ".".join(map(str, self._interpreter.python.version))
        return f"{version}t" if self.free_threaded else version

    @property
    def free_threaded(self) -> bool:
        """Whether it is a build without a GIL."""
        return self._interpreter.layout.free_threaded

    def look(self) -> Look:
        """How it is now.

        Raises ProcessLookupError if it has ended, or Python in it; OSError if it changes too fast to be read.
        """
        self._memory.look_again()
        condition = self._outside.look()
        if condition.state in ("ended", "replaced"):
            raise ProcessLookupError(condition.text)
        try:
            for left in reversed(range(TRIES)):
                with contextlib.suppress(MovedError) if left else contextlib.nullcontext():
                    return self._look(condition)
        except AbsentError as error:
            raise ProcessLookupError(str(error)) from None
        raise MovedError("it changes while it is read")

    def _look(self, condition: Condition) -> Look:
        pid, stacks, now = self.pid, self._interpreter.stacks(), time.monotonic()
        if self._tasks is None:
            with contextlib.suppress(MovedError):  # asyncio may be just coming
                self._tasks = LinkedTasks.of(self._interpreter) or WeakTasks.of(self._interpreter)
        names = self._names.by_ident() if self._names is not None else {}
        tasks = self._tasks.tasks(stacks) if self._tasks is not None else None
        return Look(
            pid=pid,
            monotonic=now,
            wall=time.time(),
            uptime=float(Path("/proc/uptime").read_text().split()[0]),
            usage=procfs.usage(pid),
            rss=procfs.resident(pid),
            fds=_descriptors(pid),
            stacks=stacks,
            threads=kernel_threads.threads(pid, _notable(stacks, tasks)),
            names=names,
            tasks=tasks,
            condition=condition,
            held=self._holding.look(),
        )

    def close(self) -> None:
        """Ends a look that goes on in another thread, too."""
        self._memory.close()


def _notable(stacks: Stacks, tasks: Tasks | None) -> set[int]:
    """The threads that are shown however many there are: those that run event loops, or have the GIL."""
    loops = {each.native for each in stacks.threads if each.runs_loop}
    owners = {each.thread for each in tasks.tasks} if tasks is not None else set()
    return loops | owners | {stacks.holder}


def _descriptors(pid: int) -> int | None:
    """How many are open; None: unknown.  Linux 6.2 and later tell the number; before, they are listed."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return folder.stat().st_size or sum(1 for _ in folder.iterdir())
    except OSError:
        return None
