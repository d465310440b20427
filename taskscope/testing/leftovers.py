"""Finds what code leaves running: tasks and threads that it created and that outlive it.

``taskscope.no_leaks`` and the pytest plugin use it.  It runs in the process under test, with the agent's
hooks but without its thread and socket, and costs what the hooks cost: one to two microseconds per task.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from asyncio import runners
from contextlib import suppress
from dataclasses import field
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

import taskscope
from taskscope import model
from taskscope.agent.answers.threads import ThreadView
from taskscope.agent.counts.loops import LoopWatch
from taskscope.agent.counts.registry import Registry
from taskscope.agent.hooks.parts import Part
from taskscope.agent.hooks.presence import Presence
from taskscope.agent.inspect import origins, sites, stacks, task_facts
from taskscope.system import clock, system
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from taskscope.model import Frame

POLL = 0.005
"""Seconds between checks while something may still end."""

OF_RUNNERS = ("TestRunner._run_tests_and_fixtures",)
"""Coroutines that anyio's pytest plugin keeps running between tests; its runner ends them."""

MAX_FRAMES = 12

MAX_ALIKE = 3
"""Leftovers per line printed in full; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A task or thread that should have ended.  Stacks are innermost first.

    ``parked`` says where it is and what it waits for.  ``creation`` is its own creation stack; if
    ``creation_exact`` is false, that of another one from the same site.
    """

    kind: str
    name: str
    does: str
    site: Frame
    parked: str
    creation: tuple[Frame, ...]
    creation_exact: bool
    note: str = ""

    def matches(self, patterns: Iterable[str]) -> bool:
        """Whether a shell pattern matches its name, what it runs, or its site."""
        place = f"{_short(self.site.file)}:{self.site.function}"
        return any(fnmatchcase(text, each) for each in patterns for text in (self.name, self.does, place))

    def lines(self) -> Iterator[str]:
        """A description of several lines for the error message."""
        yield f"{self.kind} {self.name!r} runs {self.does}, started at {_at(self.site)}{self.note}"
        yield f"  {self.parked}"
        yield (
            "  created by"
            if self.creation_exact
            else "  created by (stack of another one from the same line)"
        )
        for frame in _telling(self.creation):
            yield f"    {_at(frame)}"


def described(found: Sequence[Leftover]) -> str:
    """The error message for all of them, counts first."""
    counts = {kind: sum(1 for each in found if each.kind == kind) for kind in ("task", "thread")}
    parts = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count]
    lines = [f"left behind: {' and '.join(parts)}"]
    alike: dict[tuple[str, str, Frame], list[Leftover]] = {}
    for each in found:
        alike.setdefault((each.kind, each.does, each.site), []).append(each)
    for group in alike.values():
        for each in group[:MAX_ALIKE]:
            lines += ["", *each.lines()]
        if more := group[MAX_ALIKE:]:
            lines += [
                "",
                f"and {len(more):,} more {group[0].kind}s that run {group[0].does}, started at the same line",
            ]
    return "\n".join(lines)


@dataclass(slots=True)
class Period:
    """An interval whose births are checked.  ``exempt``: intervals within it that are not.

    ``serial``: the registry's next serial when it began.
    """

    begun: float
    grace: float
    serial: int
    exempt: list[tuple[float, float]] = field(default_factory=list)
    closed: list[Leftover] = field(default_factory=list)

    def holds(self, birth: float | None) -> bool:
        if birth is None or birth < self.begun:
            return False
        return not any(begin <= birth <= end for begin, end in self.exempt)


class Recorder:
    """Owns the hooks: armed while it has users."""

    def __init__(self) -> None:
        self._users = 0
        self._periods: list[Period] = []
        self._own: Presence | None = None
        self._runner = Part("runner", self._failed)
        self.failures: list[str] = []

    # -- arming --------------------------------------------------------------------------------

    def acquire(self) -> None:
        """Arms the hooks, or borrows those of an agent that runs in this process."""
        self._users += 1
        if self._users > 1:
            return
        agent = taskscope._agent
        if agent is not None and agent.presence.sees_tasks:
            self.registry, presence = agent.registry, agent.presence
        else:
            self.registry = Registry()
            presence = self._own = Presence(self.registry, self._failed)
            presence.arm()
        self._presence = presence
        self._threads = ThreadView(LoopWatch(self._failed), lambda: 0)
        self._runner.arm(self._wrap_runner)

    def release(self) -> None:
        """Removes the hooks when the last user releases them."""
        self._users -= 1
        if self._users:
            return
        self._runner.undo()
        own, self._own = self._own, None
        if own is not None:
            own.undo()

    def _wrap_runner(self) -> None:
        self._runner.wrap(runners, "_cancel_all_tasks", before=self._closing, after=self._closed)

    def _failed(self, where: str, error: BaseException) -> None:
        self.failures.append(f"{where}: {error!r}")

    def _loops(self) -> list[Any]:
        hooks = self._presence.hooks
        return hooks.loops() if hooks is not None else []

    # -- periods -------------------------------------------------------------------------------

    def begin(self, grace: float) -> Period:
        """Starts a period."""
        period = Period(clock.monotonic(), grace, self.registry.next_serial())
        self._periods.append(period)
        return period

    def end(self, period: Period) -> None:
        """Ends a period."""
        self._periods.remove(period)

    def has_left(self, period: Period) -> bool:
        """Whether a period left anything behind.  Walks no tasks if none was born in it."""
        no_births = self.registry.next_serial() == period.serial + 1
        tasks = None if no_births else period.closed or self.tasks(period)
        return bool(tasks or self.threads(period))

    def tasks(self, period: Period, loop: Any = None) -> list[Any]:
        """Pending tasks born in the period, of one loop or of all, oldest first."""
        found = [
            task
            for each in ([loop] if loop is not None else self._loops())
            for task in asyncio.all_tasks(each)
            if period.holds(getattr(task, "_taskscope_birth", None))
        ]
        current = _current() if found else None
        found = [task for task in found if task is not current and not _of_runner(task)]
        return sorted(found, key=lambda task: float(task._taskscope_birth))

    def threads(self, period: Period) -> list[threading.Thread]:
        """Live threads born in the period, except those of an open loop's default executor."""
        return [
            thread
            for thread in threading.enumerate()
            if period.holds(getattr(thread.__dict__.get("_taskscope"), "birth", None))
            and thread is not threading.current_thread()
            and not self._of_loop(thread)
        ]

    def _of_loop(self, thread: threading.Thread) -> bool:
        pools = (getattr(loop, "_default_executor", None) for loop in self._loops() if not loop.is_closed())
        return any(thread in getattr(pool, "_threads", ()) for pool in pools if pool is not None)

    def _closing(self, loop: Any) -> None:
        """Collects what is left on a loop whose runner is about to cancel it."""
        for period in list(self._periods):
            left = self.tasks(period, loop)
            if left:
                loop.run_until_complete(settled(partial(_pending, left), period.grace))
                period.closed += [self.task(each) for each in left if not each.done()]

    def _closed(self, loop: Any) -> None:
        """Unhooks a loop before its runner creates two more tasks to close it: they would double our cost."""
        if self._own is not None and self._own.hooks is not None:
            self._own.hooks.let_go(loop)

    # -- describing ----------------------------------------------------------------------------

    def task(self, task: Any) -> Leftover:
        """A task as a value."""
        record = task._taskscope_chunk.site
        frames = stacks.await_chain(task.get_coro())
        where = stacks.parked(task, frames)
        raw = dict([*record.last_stacks, *record.first_stacks])
        stack = raw.get(task._taskscope_serial)
        if where is None:
            parked = "has not started"
        else:
            parked = f"parked at {_at(where.user_frame or where.frame)}: {where.text}"
            if where.remaining is not None:
                parked += f", {where.remaining:,.1f} s left"
        return Leftover(
            "task",
            task.get_name(),
            sites.coroutine_name(sites.started(task.get_coro())),
            record.site.frame,
            parked,
            stacks.describe_raw(stack if stack is not None else next(iter(raw.values()), ())),
            stack is not None,
            ", cancel requested and still running" if task_facts.is_cancelling(task) else "",
        )

    def thread(self, thread: threading.Thread) -> Leftover:
        """A thread as a value."""
        site = vars(thread)["_taskscope"].record.site
        detail = self._threads.detail(thread.ident or 0)
        stack = detail.stack if detail is not None else ()
        frame = model.user_line(stack) or model.library_line(stack)
        text = detail.thread.doing if detail is not None else "has not started"
        return Leftover(
            "thread",
            thread.name,
            site.coroutine,
            site.frame,
            f"at {_at(frame)}: {text}" if frame is not None else text,
            detail.creation if detail is not None else (),
            creation_exact=True,
            note=", a daemon" if thread.daemon else "",
        )


def later(loop: Any, seconds: float, call: Callable[[], object]) -> None:
    """Like ``loop.call_later``, but on the real clock: a test may have frozen the loop's."""

    def wait() -> None:
        clock.sleep(seconds)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(call)

    system.start_new_thread(wait, ())


async def settled(living: Callable[[], bool], grace: float) -> None:
    """Runs the loop until ``living`` is false, for ``grace`` seconds at most."""
    loop = asyncio.get_running_loop()
    until = clock.monotonic() + grace
    while living() and clock.monotonic() < until:
        over = asyncio.Event()
        later(loop, POLL, over.set)
        await over.wait()


def _pending(tasks: Iterable[Any]) -> bool:
    return not all(task.done() for task in tasks)


recorder = Recorder()
"""This process's recorder."""


def _telling(stack: Sequence[Frame]) -> Sequence[Frame]:
    """The frames worth printing: no plumbing, no test runner, none outside the user's outermost frame."""
    inside = list(itertools.takewhile(lambda frame: "/_pytest/" not in frame.file, stack))
    user = [index for index, frame in enumerate(inside) if frame.origin == "user"]
    if user:
        inside = inside[: user[-1] + 1]
    said = [frame for frame in inside if not origins.is_thread_plumbing(frame.file)]
    return (said or inside)[:MAX_FRAMES]


def _of_runner(task: Any) -> bool:
    return stacks.coroutine_of(task) in OF_RUNNERS


def _current() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _at(frame: Frame) -> str:
    return f"{_short(frame.file)}:{frame.line} in {frame.function}"


def _short(file: str) -> str:
    return "/".join(file.rsplit("/", 2)[-2:])
