"""The hot path: what happens when a task is created and when it ends; and undoing all of it.

A task factory on every loop creates tasks of a subclass of ``asyncio.Task`` that carries a serial, its
birth, its parent and the chunk that counts it in slots, and counts its own end when it is destroyed.
So an end costs no callback, leaves nothing to see in ``repr(task)``, and knows the outcome.  Tasks that
the program's own factory makes cannot be of that class: they get one done callback instead.

Whatever fails in here disarms the hooks; the program goes on without us.
"""

from __future__ import annotations

import contextvars
import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from taskscope.agent import direct
from taskscope.agent.aiomonitor_peer import MonitorPeer
from taskscope.agent.registry import Chunk, Lineage, Registry, SiteRecord
from taskscope.agent.sites import BRANCH, Resolver
from taskscope.agent.task_class import build_task_class
from taskscope.system import clock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import FrameType

    Factory = Callable[..., asyncio.Task[Any]]

MAX_REMOTE = 1_000
"""Coroutines on their way to another thread's loop whose sender is remembered."""


class TaskHooks:
    """Task factories on all loops, those that are here and those to come."""

    def __init__(self, registry: Registry, failed: Callable[[str, BaseException], None]) -> None:
        from asyncio import base_events

        self.registry = registry
        self.failed = failed
        self.armed = False
        self.loops: WeakSet[Any] = WeakSet()
        self.on_loop: Callable[[Any], None] = lambda loop: None
        self._resolver = Resolver(registry)
        self._resolver.skip.update((__file__, direct.__file__))
        self.task_class = build_task_class(registry)
        self._plain: Any = None
        self._classes: list[type] = [base_events.BaseEventLoop]
        self._saved: list[tuple[Any, str, Any, Any]] = []
        self._remote: dict[int, SiteRecord] = {}
        self._making: set[int] = set()  # threads in which a factory of the program's makes a task
        self._raw: dict[type, tuple[Any, Any]] = {}
        self._base_events = base_events.__file__
        self._monitors = MonitorPeer(self)

    # -- arming and disarming ------------------------------------------------------------------

    def arm(self) -> None:
        """Patches the loop classes, so that every loop to come has our factory."""
        self.armed = True
        for cls in self._classes:
            self._patch_class(cls)
        self._patch_run_coroutine_threadsafe()
        note = self._build(direct.itself, foreign=True, named=True)
        for known in direct.known_sets():
            add = direct.noticing(known, note, self._passing_through)
            self._patch(known, "add", lambda _, add=add: add)

    def _passing_through(self) -> bool:
        """Whether the task that this thread makes is noted by a factory of ours, or not at all."""
        return not self.armed or get_ident() in self._making

    def add_loop_class(self, cls: type) -> None:
        """A loop class from elsewhere (uvloop); harmless if it derives from one that is known."""
        if self.armed and cls not in self._classes:
            self._classes.append(cls)
            self._patch_class(cls)

    def disarm(self) -> None:
        """Puts every factory and every patched function back.  Live tasks are let go one by one."""
        self.armed = False
        for owner, name, original, ours in reversed(self._saved):
            if vars(owner).get(name) is not ours:
                continue  # somebody patched it after us; ours is only passed through from now on
            if original is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        self._saved.clear()
        self._monitors.release()
        for loop in list(self.loops):
            hook = loop.get_task_factory()
            if hasattr(hook, "taskscope_inner"):
                loop.set_task_factory(hook.taskscope_inner)
        self.loops.clear()
        self._remote.clear()

    def release_class(self) -> None:
        """After this the tasks still alive are plain tasks in all but name."""
        for name in ("__del__", "set_name"):
            if name in self.task_class.__dict__:
                delattr(self.task_class, name)

    def _patch(self, owner: Any, name: str, replacement: Any) -> Any:
        original = getattr(owner, name)
        ours = replacement(original)
        self._saved.append((owner, name, vars(owner).get(name, _ABSENT), ours))
        setattr(owner, name, ours)
        return original

    def _patch_class(self, cls: Any) -> None:
        hooks = self

        def init(original: Any) -> Any:
            def __init__(loop: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
                original(loop, *args, **kwargs)
                hooks.guard(hooks.add_loop, loop)

            return _named(__init__, original)

        def set_task_factory(original: Any) -> Any:
            def set_task_factory(loop: Any, factory: Any) -> None:
                if not hooks.armed or (factory is not None and not callable(factory)):
                    original(loop, factory)
                else:
                    original(loop, hooks._wrap(factory))

            return _named(set_task_factory, original)

        def get_task_factory(original: Any) -> Any:
            def get_task_factory(loop: Any) -> Any:
                factory = original(loop)
                return getattr(factory, "taskscope_shown", factory)

            return _named(get_task_factory, original)

        self._patch(cls, "__init__", init)
        set_raw = self._patch(cls, "set_task_factory", set_task_factory)
        get_raw = self._patch(cls, "get_task_factory", get_task_factory)
        self._raw[cls] = (set_raw, get_raw)

    def guard(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls ``function``; a failure disarms us and is told, never raised into the program."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001  (an outer edge)
            self.failed("task hooks", error)

    def add_loop(self, loop: Any) -> None:
        """Installs the factory on a loop, around the one that it has."""
        if not self.armed or loop in self.loops:
            return
        for cls, (set_raw, get_raw) in self._raw.items():
            if isinstance(loop, cls):
                inner = get_raw(loop)
                if not hasattr(inner, "taskscope_inner"):
                    set_raw(loop, self._wrap(inner))
                self.loops.add(loop)
                self.on_loop(loop)
                return
        self.registry.drop("loops of an unknown class")

    def let_go(self, loop: Any) -> None:
        """Gives a loop the factory back that it had: nobody cares any more what it starts."""
        for cls, (set_raw, get_raw) in self._raw.items():
            if isinstance(loop, cls):
                factory = get_raw(loop)
                set_raw(loop, getattr(factory, "taskscope_inner", factory))
                return

    # -- the hot path --------------------------------------------------------------------------

    def _wrap(self, inner: Factory | None) -> Factory:
        """Our factory around the program's (None: it has none)."""
        import asyncio

        if hasattr(inner, "taskscope_inner") or self._monitors.follow(inner):
            return inner  # type: ignore[return-value]
        if inner is None:
            factory = self._plain = self._plain or self._build(self.task_class, foreign=False, named=False)
        elif self._is_eager(inner):
            # anyio looks into the closure of asyncio's eager factories: ours must be one of them.
            build = self._build(self.task_class, foreign=False, named=True)
            factory = asyncio.create_eager_task_factory(  # type: ignore[attr-defined]
                lambda coro, *, loop, **kwargs: build(loop, coro, **kwargs)
            )
        else:
            factory = self._build(_swapped(inner, self._making), foreign=True, named=True)
        factory.taskscope_inner = inner
        factory.taskscope_shown = factory if self._is_eager(inner) else inner
        return factory  # type: ignore[no-any-return]

    @staticmethod
    def _is_eager(factory: object) -> bool:
        return factory is not None and factory is getattr(sys.modules["asyncio"], "eager_task_factory", None)

    def _build(self, make: Any, *, foreign: bool, named: bool) -> Any:  # noqa: C901, PLR0915
        """A factory that makes a task with ``make(coro, loop=…)`` and notes its birth.

        One function with local names only, because every call and look-up would show: about a
        microsecond in all.  ``foreign``: the task may not be of our class.  ``named``: it may have a
        serial already, given to it by its children, because it ran before ``make`` returned.
        """
        from asyncio import current_task

        registry = self.registry
        records = registry.records
        next_serial = registry.next_serial
        skip = self._resolver.skip
        getframe = sys._getframe
        now = clock.monotonic
        resolve, first_child, trim = self._resolve, self._first_child, self._trim
        task_class, ended = self.task_class, self._ended
        hooks = self

        def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:  # noqa: C901, PLR0912
            task = make(coro, loop=loop, **kwargs)
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
                if record is None or record is BRANCH:
                    record = resolve(getframe(1), coro)
                parent = current_task(loop)
                if parent is None:
                    task._taskscope_parent = None
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
                task._taskscope_chunk = chunk
                chunk[serial] = ref(task)  # type: ignore[index]
                record.born += 1
                if foreign and type(task) is not task_class:
                    task.add_done_callback(ended, context=_EMPTY)
            except (RecursionError, MemoryError):
                registry.drop("births")  # the program is at its own limit: leave it alone
            except Exception as error:  # noqa: BLE001  (an outer edge)
                hooks.failed("task factory", error)
            return task

        return factory

    def _ended(self, task: Any) -> None:
        try:
            chunk = task._taskscope_chunk
            if chunk is not None and chunk.pop(task._taskscope_serial, None) is not None:
                self.registry.settle(task, chunk)
        except Exception as error:  # noqa: BLE001  (an outer edge)
            self.failed("task callback", error)

    def _resolve(self, start: FrameType, coro: Any) -> SiteRecord:
        """The slow half of finding a record: new sites, and sites told apart by their user frame."""
        return self._remote.pop(id(coro), None) or self._resolver.record(start, coro)

    def _first_child(self, parent: Any) -> Lineage:
        """A parent's first child: from now on the parent has something that may outlive it.

        An eager task runs before its own birth is noted: its children come first and give it its serial.
        """
        serial = getattr(parent, "_taskscope_serial", 0)
        if not serial:
            serial = parent._taskscope_serial = self.registry.next_serial()
        chunk: Chunk | None = getattr(parent, "_taskscope_chunk", None)
        lineage = Lineage(serial, getattr(parent, "_taskscope_parent", None), chunk, parent.get_name())
        parent._taskscope_lineage = lineage
        return lineage

    def _trim(self, task: Any) -> None:
        """Debug mode: takes our frames (and create_task, as asyncio would) off the creation traceback."""
        trace = task._source_traceback
        for index in range(len(trace) - 1, max(-1, len(trace) - 5), -1):
            if trace[index].filename == __file__:
                del trace[index]
        if trace and trace[-1].filename == self._base_events:
            trace.pop()

    # -- where no frame leads back to the program ------------------------------------------------

    def _patch_run_coroutine_threadsafe(self) -> None:
        """Its task is created by a callback in another thread: remember who asked."""
        import asyncio
        from asyncio import tasks

        hooks = self

        def replacement(original: Any) -> Any:
            def run_coroutine_threadsafe(coro: Any, loop: Any) -> Any:
                if hooks.armed:
                    hooks.guard(hooks._remember_remote, coro, sys._getframe(1))
                return original(coro, loop)

            return _named(run_coroutine_threadsafe, original)

        self._patch(tasks, "run_coroutine_threadsafe", replacement)
        patched = tasks.run_coroutine_threadsafe
        self._patch(asyncio, "run_coroutine_threadsafe", lambda original: patched)

    def _remember_remote(self, coro: Any, frame: FrameType) -> None:
        if len(self._remote) < MAX_REMOTE:
            self._remote[id(coro)] = self._resolver.record(frame, coro)


def _named(function: Any, original: Any) -> Any:
    """``function`` under the name that the program knows."""
    function.__name__ = original.__name__
    function.__qualname__ = original.__qualname__
    function.__doc__ = original.__doc__
    return function


def _swapped(factory: Any, making: set[int]) -> Any:
    """A factory in the shape of a task class; ``making`` holds the thread meanwhile."""

    def make(coro: Any, *, loop: Any, **kwargs: Any) -> Any:
        thread = get_ident()
        making.add(thread)
        try:
            return factory(loop, coro, **kwargs)
        finally:
            making.discard(thread)

    return make


_ABSENT: Any = object()
_EMPTY = contextvars.Context()
