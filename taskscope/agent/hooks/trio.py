"""Follows the tasks of trio: an instrument of ours in each of its runs notes births and ends.

The function of trio that prepares a run is wrapped, so that each run begins with the instrument.  A run that
is older than the agent is asked to add it, by the way that trio has for other threads; it leaves the same
way.  An instrument that fails is inert from then on: trio never sees it raise.  Attributes of trio's own
runs, tasks and nurseries are read as they are: no program can subclass these.
"""

from __future__ import annotations

import heapq
import sys
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.counts.site_record import Lineage
from taskscope.agent.hooks import adopt
from taskscope.agent.hooks.parts import as_named
from taskscope.agent.inspect import futures, runs, stacks
from taskscope.agent.inspect.foreign import StandIn, known
from taskscope.agent.inspect.looking import attribute, class_name, items
from taskscope.agent.inspect.sites import Resolver
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.hooks.presence import Presence
    from taskscope.agent.inspect.walk import Job

MODULE = "trio._core._run"

_ENTRY = "<TrioToken.run_sync_soon task>"
"""trio's own task, beside its first one."""

_PLUMBING = ("_run", "_instrumentation", "_ki")
"""trio's modules between what calls it and the instrument."""


class Instrument:
    """What trio calls, in the thread that runs it, by the names of its public attributes."""

    def __init__(self, spawned: Any, exited: Any) -> None:
        self.task_spawned, self.task_exited = spawned, exited

    def rest(self) -> None:
        """From now on it does nothing."""
        self.task_spawned = self.task_exited = _nothing


def _nothing(task: Any) -> None:
    pass


class TrioHooks:
    """Counts tasks of trio in ``registry``.  ``meet`` is told of every run, in its thread."""

    def __init__(self, registry: Registry, part: Part, meet: Callable[[Any], None]) -> None:
        self.part = part
        self._registry = registry
        self._told = meet
        self._runs: list[ref[Any]] = []
        self._older: list[ref[Any]] = []

    def follow(self, presence: Presence) -> None:
        """Begins as soon as trio is loaded, which may be now or never."""
        presence.when(MODULE, self.part, self._arm)

    def _arm(self, module: Any) -> None:
        self._resolver = Resolver(self._registry)
        self._file = module.__file__
        self._inside = {__file__, *(sys.modules[f"trio._core.{each}"].__file__ for each in _PLUMBING)}
        self.part.on_undo(self._leave)
        protect = module.enable_ki_protection  # else Ctrl-C could be raised in there, and end with it
        self._instrument = Instrument(protect(self._spawned()), protect(self._exited()))
        self._wrap(module)
        for runner in _running():
            self._registry.arriving = True
            runner.entry_queue.run_sync_soon(self.part.guarded(self._join), ref(runner))

    def _wrap(self, module: Any) -> None:
        original = module.setup_runner
        meet = self.part.guarded(self._meet)

        def setup_runner(*args: Any, **kwargs: Any) -> Any:
            runner = original(*args, **kwargs)
            meet(runner)
            return runner

        ours = module.enable_ki_protection(setup_runner)
        self.part.replace(module, "setup_runner", as_named(ours, original))

    def _meet(self, runner: Any) -> None:
        """In the thread of trio that has this run."""
        runner.instruments.add_instrument(self._instrument)
        self._told(runner)
        self._runs = [each for each in self._runs if each() is not None]
        self._runs.append(ref(runner))

    def _join(self, reference: ref[Any]) -> None:
        runner = reference()
        if runner is not None:
            self._meet(runner)
            self._older.append(reference)

    def _leave(self) -> None:
        """Has every run remove the instrument: to do that in another thread would fail trio."""
        self._instrument.rest()
        for reference in self._runs:
            runner = reference()
            try:
                if runner is not None:
                    runner.entry_queue.run_sync_soon(_remove, runner.instruments, self._instrument)
            except Exception:  # noqa: BLE001  (the run is over, and the instrument with it)
                pass
        self._runs.clear()
        known.clear()

    def forked(self) -> None:
        """In a forked child trio's tasks are copies that never run."""
        while known:
            self._drop(known.popitem()[1])

    # -- births and ends, in trio's thread ---------------------------------------------------------

    def _spawned(self) -> Any:
        """What notes a birth.  One function with only local names, as every call and look-up counts."""
        registry, resolver, part = self._registry, self._resolver, self.part
        records, ways, skip, inside = registry.records, resolver.ways.known, resolver.skip, self._inside
        getframe, now, code_of, lineage = sys._getframe, clock.monotonic, stacks.code_of, _lineage

        def spawned(task: Any) -> None:
            try:
                nursery = task._parent_nursery
                if nursery is None or task.name == _ENTRY:
                    return
                frame: Any = getframe(3)  # outside of the function of trio that makes the task
                while (code := frame.f_code).co_filename in inside:
                    frame = frame.f_back
                start, coro = frame, task.coro
                while code.co_filename in skip:
                    frame = frame.f_back
                    code = frame.f_code
                key = (id(code), frame.f_lasti, id(code_of(coro)))
                record = records.get(key) or ways(frame, key) or resolver.record(start, coro)
                stand: Any = StandIn()
                stand._task = ref(task)
                serial = stand._taskscope_serial = registry.next_serial()
                parent = known.get(id(nursery._parent_task))
                stand._taskscope_parent = parent and (parent._taskscope_lineage or lineage(parent))
                stand._taskscope_lineage = None
                stand._taskscope_birth = now()
                if record.room:
                    record.room -= 1
                    chunk: Any = record.chunk
                else:
                    chunk = record.new_chunk(serial, start)
                stand._taskscope_chunk = chunk
                known[id(task)] = stand
                chunk[serial] = ref(stand)
                record.born += 1
            except (RecursionError, MemoryError):
                pass  # the program is at its own limit: leave it alone
            except Exception as error:  # noqa: BLE001  (an outer edge)
                part.fail(error)

        return spawned

    def _exited(self) -> Any:
        """What notes an end."""
        registry, part, note_error = self._registry, self.part, self._note_error

        def exited(task: Any) -> None:
            try:
                stand: Any = known.pop(id(task), None)
                if stand is None:
                    return
                stand._state = "FINISHED"
                failed = task._parent_nursery._pending_excs  # with an error, perhaps of another
                if failed:
                    note_error(stand)
                chunk = stand._taskscope_chunk
                if chunk is not None and chunk.pop(stand._taskscope_serial, None) is not None:
                    if failed or chunk.site.keep > 0:
                        registry.settle(stand, chunk)
                    else:
                        chunk.site.finished += 1
            except (RecursionError, MemoryError):
                pass
            except Exception as error:  # noqa: BLE001  (an outer edge)
                part.fail(error)

        return exited

    def _note_error(self, stand: StandIn) -> None:
        error = attribute(variables_of(self._frame_of_trio()).get("outcome"), "error")
        stand._state = "CANCELLED" if _is_cancellation(error) else "FINISHED"
        stand._exception = error

    def _frame_of_trio(self) -> FrameType:
        """That of its function which calls the instrument, and does not pass the outcome on."""
        frame = sys._getframe(2)
        while frame.f_code.co_filename != self._file and frame.f_back is not None:
            frame = frame.f_back
        return frame

    def _drop(self, stand: StandIn) -> None:
        """Counts a task whose end was not seen."""
        chunk = futures.chunk_of(stand)
        if chunk is not None and chunk.pop(stand._taskscope_serial, None) is not None:
            chunk.site.unseen += 1

    # -- tasks older than the agent, in its thread -------------------------------------------------

    def adopt_older(self) -> Job[None]:
        """Registers the tasks of the runs that were there before us, oldest first."""
        while self._older:
            runner = self._older.pop()()
            tasks = runner.tasks.copy() if runner is not None else set()  # 2 ms for 100,000
            del runner
            in_order = yield from _by_age(tasks)
            in_order.reverse()
            while in_order:
                self._adopt(in_order.pop()())
                if spent():
                    yield
            self._registry.arriving = False

    def _adopt(self, task: Any) -> None:
        nursery = task._parent_nursery if task is not None else None
        if nursery is None or task.name == _ENTRY or id(task) in known:
            return
        stand = known[id(task)] = StandIn()
        stand._task = ref(task)
        stand._taskscope_lineage = None
        parent = known.get(id(nursery._parent_task))
        if adopt.adopt(self._registry, stand) and parent is not None:
            stand._taskscope_parent = parent._taskscope_lineage or _lineage(parent)
        if task.coro.cr_frame is None and known.pop(id(task), None) is not None:  # it has just ended
            self._drop(stand)


def _lineage(parent: StandIn) -> Lineage:
    """Made for its first child."""
    above, chunk = parent._taskscope_parent, parent._taskscope_chunk
    parent._taskscope_lineage = Lineage(parent._taskscope_serial, above, chunk, parent.name)
    return parent._taskscope_lineage


def _by_age(tasks: set[Any]) -> Job[list[ref[Any]]]:
    """Empties ``tasks``: what is in there lives until it is taken out."""
    runs: list[list[tuple[int, ref[Any]]]] = [[]]
    while tasks:
        task = tasks.pop()
        runs[-1].append((task._counter, ref(task)))
        del task
        if len(runs[-1]) >= adopt.RUN:
            runs[-1].sort()
            runs.append([])
        if spent():
            yield
    runs[-1].sort()
    in_order = []
    for _, reference in heapq.merge(*runs):
        in_order.append(reference)
        if spent():
            yield
    return in_order


def _running() -> list[Any]:
    """The runs that are now on the stack of a thread."""
    found: dict[int, Any] = {}
    for innermost in list(stacks.current_frames().values()):
        for frame in stacks.thread_frames(innermost):
            run = runs.on_stack(frame)
            if run is not None:
                found[id(run)] = run
    return list(found.values())


def _remove(instruments: Any, instrument: Instrument) -> None:
    """Called by trio, which fails if this raises."""
    try:
        instruments.remove_instrument(instrument)
    except Exception:  # noqa: BLE001  (it was deactivated before)
        pass


def _is_cancellation(error: object, depth: int = 8) -> bool:
    """Whether it is trio's, or a group of nothing else."""
    if class_name(error) == "Cancelled":
        return True
    inner = items(attribute(error, "exceptions"), 1_000) if depth and error is not None else []
    return bool(inner) and all(_is_cancellation(each, depth - 1) for each in inner)
