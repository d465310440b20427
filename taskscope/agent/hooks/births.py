"""The hot path: records the creation of a task, and prepares for its end.

Our factory creates tasks of a subclass of ``asyncio.Task`` with slots for a serial, its birth, its parent and
the chunk that counts it, and the subclass counts its own end when destroyed.  So an end needs no callback,
leaves ``repr(task)`` unchanged, and knows the outcome.  Tasks from the program's own factory cannot be of
that class: they get a done callback instead and, in case it never runs, a weak reference that detects their
end.
"""

from __future__ import annotations

import sys
from contextvars import Context
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from taskscope.agent.counts.site_record import Chunk, ForeignRef, Lineage, SiteRecord
from taskscope.agent.hooks import direct
from taskscope.agent.hooks.task_class import build_task_class
from taskscope.agent.inspect import origins, turns
from taskscope.agent.inspect.sites import Resolver
from taskscope.system import clock, system

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.parts import Link, Part

MAX_REMOTE = 1_000
"""Coroutines in transit to another thread's loop whose sender is kept."""


class Births:
    """Builds factories that record births in ``registry``; a failure in one undoes ``part``."""

    def __init__(self, registry: Registry, part: Part) -> None:
        from asyncio import _get_running_loop, base_events

        self.registry = registry
        self.task_class = self.build_class()
        self._part = part
        self._resolver = self.build_resolver()
        self._resolver.skip.update((__file__, direct.__file__))
        self._base_events = base_events.__file__
        self._running = _get_running_loop
        self._remote: dict[int, SiteRecord] = {}
        self._made: WeakSet[Any] = WeakSet()

    def build_class(self) -> Any:
        """The class of the tasks that factories make."""
        return build_task_class(self.registry)

    def build_resolver(self) -> Resolver:
        """What finds creation sites."""
        return Resolver(self.registry)

    def arm(self) -> None:
        """Enables building factories; all become plain once the part is undone."""
        self._part.on_undo(self._let_go)
        self._link = self._part.link(self._ended)

    def _let_go(self) -> None:
        self._remote.clear()
        for factory in list(self._made):
            factory.let_go()

    def release_class(self) -> None:
        """Makes tasks that are still live behave as plain tasks."""
        for name in ("__del__", "set_name"):
            if name in self.task_class.__dict__:
                delattr(self.task_class, name)

    def skip(self, file: str) -> None:
        """Registers a file of ours whose frames may be between the program and a factory."""
        self._resolver.skip.add(file)

    def factory(self, make: Any, plain: Any, *, foreign: bool, named: bool) -> Any:  # noqa: C901, PLR0915
        """A factory that creates a task with ``make(coro, loop=…)`` and records its birth.

        One function with only local names, since every call and look-up counts: about a microsecond in
        all.  ``foreign``: the task may not be of our class.  ``named``: it may already have a serial, given
        by its children, if it ran before ``make`` returned.  ``plain`` replaces ``make`` once the part is
        undone.
        """
        from asyncio import current_task

        registry: Any = self.registry
        records = registry.records
        next_serial = registry.next_serial
        get_ident, foreign_thread = system.get_ident, registry.mishaps.from_other_thread
        skip: Any = self._resolver.skip
        getframe = sys._getframe
        now = clock.monotonic
        births: Any = self
        known: Any = self._resolver.ways.known
        find, first_child, trim, check = births._find, births._first_child, births._trim, births._check
        task_class, link = self.task_class, self._link
        ended = _ending(link)
        armed = True

        def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:  # noqa: C901, PLR0912, PLR0915
            task = make(coro, loop=loop, **kwargs)
            if not armed:
                return task
            try:
                serial = 0
                if named:
                    if getattr(task, "_taskscope_chunk", None) is not None:
                        return task  # the program's factory called ours
                    serial = getattr(task, "_taskscope_serial", 0)
                if task._source_traceback:
                    trim(task)
                frame = getframe(1)
                code = frame.f_code
                while code.co_filename in skip:
                    frame = frame.f_back  # type: ignore[assignment]
                    code = frame.f_code
                try:
                    key = (id(code), frame.f_lasti, id(coro.cr_code))
                except AttributeError:
                    key = (id(code), frame.f_lasti, id(None))
                record = records.get(key)
                if record is None:
                    record = known(frame, key) or find(coro)
                parent = current_task(loop)
                if parent is None:
                    task._taskscope_parent = None
                    try:
                        thread = loop._thread_id
                    except Exception:  # noqa: BLE001  (a loop that is not asyncio's may do as it likes)
                        thread = None
                    if type(thread) is int and thread != get_ident():
                        foreign_thread(record.id)
                else:
                    try:
                        lineage = parent._taskscope_lineage  # type: ignore[attr-defined]
                    except AttributeError:
                        lineage = None
                    task._taskscope_parent = lineage or first_child(parent)
                if not serial:
                    serial = task._taskscope_serial = next_serial()
                    task._taskscope_lineage = None
                task._taskscope_birth = now()
                room = record.room
                if room:
                    record.room = room - 1
                    chunk = record.chunk
                else:
                    chunk = record.new_chunk(serial, getframe(1))
                    check(loop, record.id, parent)
                task._taskscope_chunk = chunk
                if foreign and type(task) is not task_class:
                    chunk[serial] = ForeignRef(task, chunk, serial)
                    # A separate context: a shared one can be entered by only one thread at a time.
                    task.add_done_callback(ended, context=Context())
                else:
                    chunk[serial] = ref(task)
                record.born += 1
            except (RecursionError, MemoryError):
                try:
                    registry.drop("births")  # the program is at its own limit: leave it alone
                except Exception:  # noqa: BLE001  (an outer edge: there is not even room to count it)
                    pass
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)
            return task

        def let_go() -> None:
            nonlocal armed, make, registry, records, next_serial, skip, find, first_child, trim, task_class
            nonlocal foreign_thread, known, check
            armed = False
            make = plain
            registry = foreign_thread = records = next_serial = skip = known = find = first_child = None
            trim = task_class = check = None

        factory.let_go = let_go  # type: ignore[attr-defined]
        self._made.add(factory)
        return factory

    def _ended(self, task: Any) -> None:
        chunk = task._taskscope_chunk
        if chunk is not None and chunk.pop(task._taskscope_serial, None) is not None:
            self.registry.settle(task, chunk)

    def _check(self, loop: Any, site: int, parent: object) -> None:
        """Counts the wrong thread where the hot path does not see it: it is called once per chunk.

        Up to 3.13 a loop that runs a task has a current one for every thread, and uvloop tells no thread.
        """
        try:
            thread = loop._thread_id
        except Exception:  # noqa: BLE001  (a loop that is not asyncio's may do as it likes)
            thread = None
        if type(thread) is int:
            astray = parent is not None and thread != system.get_ident()
        else:
            astray = self._running() is not loop and turns.builtin(loop, "is_running") is True
        if astray:
            self.registry.mishaps.from_other_thread(site)

    def _find(self, coro: Any) -> SiteRecord:
        """The slow path: a creation seen for the first time."""
        return self._remote.pop(id(coro), None) or self._resolver.record(sys._getframe(2), coro)

    def remember_remote(self, coro: Any = None, *_: Any, **__: Any) -> None:
        """Records the caller for a task that a callback in another thread will create."""
        if coro is not None and len(self._remote) < MAX_REMOTE:
            self._remote[id(coro)] = self._resolver.record(sys._getframe(2), coro)

    def _first_child(self, parent: Any) -> Lineage:
        """Prepares a parent for its first child, which may outlive it.

        An eager task runs before its own birth is recorded, so its children may come first and give it its
        serial.
        """
        serial = getattr(parent, "_taskscope_serial", 0)
        if not serial:
            serial = parent._taskscope_serial = self.registry.next_serial()
        chunk: Chunk | None = getattr(parent, "_taskscope_chunk", None)
        lineage = Lineage(serial, getattr(parent, "_taskscope_parent", None), chunk, parent.get_name())
        parent._taskscope_lineage = lineage
        return lineage

    def _trim(self, task: Any) -> None:
        """Debug mode: trims our frames (and create_task, as asyncio does) from the creation traceback."""
        trace = task._source_traceback
        for index in range(len(trace) - 1, max(-1, len(trace) - 5), -1):
            if origins.is_own(trace[index].filename):
                del trace[index]
        if trace and trace[-1].filename == self._base_events:
            trace.pop()


def _ending(link: Link) -> Any:
    """A done callback; it stays on its task when the agent is removed, and then does nothing."""

    def ended(task: Any) -> None:
        note = link.before
        if note is not None:
            try:
                note(task)
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)

    return ended
