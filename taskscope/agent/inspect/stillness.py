"""Since when tasks, threads and other processes have not moved, judging by earlier looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.island import OwnRef
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


class _Place(NamedTuple):
    waiter: OwnRef | None
    instruction: int
    since: float


class Stillness:
    """Refers weakly to what tasks waited for at the last look; keeps no task or frame alive."""

    def __init__(self) -> None:
        self._tasks: dict[int, _Place] = {}
        self._threads: dict[int, tuple[tuple[int, ...], float]] = {}
        self._cancelled: dict[int, float] = {}
        self._seen_cancelled: dict[int, float] = {}
        self._processes: dict[int, tuple[tuple[int, ...], float]] = {}
        self._seen_processes: dict[int, tuple[tuple[int, ...], float]] = {}
        self._seen_tasks: dict[int, _Place] = {}
        self._seen_threads: dict[int, tuple[tuple[int, ...], float]] = {}
        self._places: dict[int, tuple[tuple[int, int], float]] = {}
        self._seen_places: dict[int, tuple[tuple[int, int], float]] = {}

    def task(self, serial: int, task: object) -> float:
        """Since when it has waited for the same future at the same instruction."""
        waiter = futures.waiter_of(task)
        frame = stacks.frame_of(futures.coroutine(task))
        instruction = frame.f_lasti if frame is not None else -1
        known = self._tasks.get(serial)
        if known is None or known.instruction != instruction or not _is_of(known.waiter, waiter):
            try:
                reference = OwnRef(waiter) if waiter is not None else None
            except TypeError:
                reference = None
            known = _Place(reference, instruction, clock.monotonic())
        self._seen_tasks[serial] = known
        return known.since

    def of_task(self, serial: int) -> float | None:
        """Since when a task had not moved at the last look; None: it was not seen."""
        known = self._tasks.get(serial)
        return known.since if known is not None else None

    def cancelled(self, serial: int) -> float:
        """Since when a task that was cancelled has been running on."""
        since = self._seen_cancelled[serial] = self._cancelled.get(serial, clock.monotonic())
        return since

    def thread(self, ident: int, native: int, frame: FrameType) -> float | None:
        """Since when it has been at the same instruction without running; None if it runs now."""
        rests = at_rest(native)
        if rests is None:
            return None
        now, place = clock.monotonic(), (id(frame), frame.f_lasti)
        mark = *place, *rests
        known = self._threads.get(ident)
        since = known[1] if known is not None and known[0] == mark else now
        self._seen_threads[ident] = mark, since
        there = self._places.get(ident)
        self._seen_places[ident] = there if there is not None and there[0] == place else (place, now)
        return since

    def returned(self, ident: int) -> float | None:
        """Since when every look has found it at this instruction, though it may have run in between."""
        there = self._seen_places.get(ident)
        return there[1] if there is not None else None

    def process(self, pid: int, natives: Sequence[int]) -> float | None:
        """Since when none of the threads of another process has run; None if one runs now."""
        rests = [at_rest(each, pid) for each in natives]
        marks = tuple([count for each in rests if each is not None for count in each])
        if not natives or None in rests:
            return None
        known = self._processes.get(pid)
        since = known[1] if known is not None and known[0] == marks else clock.monotonic()
        self._seen_processes[pid] = marks, since
        return since

    def looked(self) -> None:
        """Ends a look: forgets what was not seen in it."""
        self._tasks, self._seen_tasks = self._seen_tasks, {}
        self._cancelled, self._seen_cancelled = self._seen_cancelled, {}
        self._threads, self._seen_threads = self._seen_threads, {}
        self._places, self._seen_places = self._seen_places, {}
        self._processes, self._seen_processes = self._seen_processes, {}


def _is_of(reference: OwnRef | None, waiter: object) -> bool:
    return (reference() if reference is not None else None) is waiter


def switches(native: int) -> tuple[int, ...]:
    """How often a thread gave up the CPU by itself, and otherwise; empty if unknown."""
    return _switches_in(_status(native))


def at_rest(native: int, process: int | str = "self") -> tuple[int, ...] | None:
    """A thread's context switches, which change whenever it moves; None if it runs or this is unknown."""
    values = _status(native, process)
    return None if values.get(b"State", b"R").strip().startswith(b"R") else _switches_in(values)


def _switches_in(values: dict[bytes, bytes]) -> tuple[int, ...]:
    names = (b"voluntary_ctxt_switches", b"nonvoluntary_ctxt_switches")
    return tuple(int(values[name]) for name in names if name in values)


def _status(native: int, process: int | str = "self") -> dict[bytes, bytes]:
    """What the kernel says of a thread; empty if it has ended."""
    try:
        lines = system.contents(f"/proc/{process}/task/{native}/status").split(b"\n")
    except OSError:
        return {}
    pairs = (line.partition(b":") for line in lines)
    return {name: value for name, _, value in pairs}
