"""Installs a task factory on every loop, existing and future.

Every change goes through a `Part`, which undoes it; the factories themselves come from ``births``.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.hooks import direct
from taskscope.agent.hooks.aiomonitor import MonitorPeer
from taskscope.agent.hooks.parts import Link, Part, as_named
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.births import Births


class TaskHooks:
    """Task factories on all loops.  ``on_loop`` is called with each new loop, and must not raise."""

    def __init__(
        self, registry: Registry, part: Part, births: Births, on_loop: Callable[[Any], None]
    ) -> None:
        from asyncio import base_events

        self.part = part
        self.births = births
        self.births.skip(__file__)
        self._registry = registry
        self._on_loop = on_loop
        self._plain: Any = None
        self._classes: list[type] = [base_events.BaseEventLoop]
        self._raw: dict[type, tuple[Any, Any]] = {}
        self._loops: dict[int, ref[Any]] = {}
        self._making: set[int] = set()  # threads in which a factory of the program is creating a task

    # -- arming and disarming ------------------------------------------------------------------

    def arm(self) -> None:
        """Patches the loop classes, so that every future loop has our factory."""
        self.births.arm()
        self._monitors = MonitorPeer(self.births, self.part, self._registry)
        for cls in self._classes:
            self._patch_class(cls)
        self.part.on_undo(self._unhook)
        self._patch_run_coroutine_threadsafe()
        note = self.births.factory(direct.itself, direct.itself, foreign=True, named=True)
        for known in direct.known_sets():
            link = self.part.link(self._is_recorded)
            self.part.replace(known, "add", direct.noticing(known, note, link))

    def _is_recorded(self) -> bool:
        """Whether a factory already records this task, or hooks are off."""
        return system.get_ident() in self._making

    def add_loop_class(self, cls: type) -> None:
        """Patches another loop class (uvloop's); harmless if its base is already patched."""
        if self.part.armed and not any(cls is known for known in self._classes):
            self._classes.append(cls)
            self._patch_class(cls)

    def loops(self) -> list[Any]:
        """The live loops that have our factory."""
        found = [reference() for reference in list(self._loops.values())]
        return [loop for loop in found if loop is not None]

    def _unhook(self) -> None:
        """Restores every loop's original factory, then raises the first failure, if any."""
        failures = []
        for loop in self.loops():
            try:
                self.let_go(loop)
            except Exception as error:  # noqa: BLE001  (an outer edge: the other loops must be restored too)
                failures.append(error)
        if failures:
            raise failures[0]
        self._loops.clear()

    def _patch_class(self, cls: Any) -> None:
        """Also keeps the original methods: we never call overrides in the program's subclasses."""
        part = self.part
        set_raw, get_raw = cls.set_task_factory, cls.get_task_factory
        self._raw[cls] = set_raw, get_raw
        part.wrap(cls, "__init__", after=self._loop_made)
        part.replace(cls, "set_task_factory", _setter(set_raw, part.link(self._wrap)))
        part.replace(cls, "get_task_factory", _getter(get_raw, part.link(_shown)))

    def _loop_made(self, loop: Any, *_: Any, **__: Any) -> None:
        self.add_loop(loop)

    def add_loop(self, loop: Any) -> None:
        """Installs our factory on a loop, around its own."""
        known = self._loops.get(id(loop))
        if not self.part.armed or (known is not None and known() is loop):
            return
        raw = self._raw_of(loop)
        if raw is None:
            self._registry.drop("loops of an unknown class")
            return
        set_raw, get_raw = raw
        self._loops[id(loop)] = ref(loop, self._forgetting(id(loop)))
        inner = get_raw(loop)
        if not _is_ours(inner):
            set_raw(loop, self._wrap(inner))
        self._on_loop(loop)

    def _forgetting(self, number: int) -> Callable[[Any], None]:
        known = self._loops

        def forget(reference: Any) -> None:
            if known.get(number) is reference:
                del known[number]

        return forget

    def _raw_of(self, loop: Any) -> tuple[Any, Any] | None:
        kind = type(loop)
        return next((raw for cls, raw in list(self._raw.items()) if issubclass(kind, cls)), None)

    def let_go(self, loop: Any) -> None:
        """Restores the loop's original factory."""
        raw = self._raw_of(loop)
        if raw is not None:
            set_raw, get_raw = raw
            factory = get_raw(loop)
            if _is_ours(factory):
                set_raw(loop, factory.taskscope_inner)

    # -- factories -----------------------------------------------------------------------------

    def _wrap(self, inner: Any) -> Any:
        """Our factory, wrapped around the program's (None: it has none)."""
        import asyncio

        if _is_ours(inner) or self._monitors.follow(inner):
            return inner
        build: Any = self.births.factory
        task_class: Any = self.births.task_class
        if inner is None:
            factory = self._plain = self._plain or build(task_class, asyncio.Task, foreign=False, named=False)
        elif _is_eager(inner):
            # anyio inspects the closure of asyncio's eager factories, so ours must be one of them.
            make = build(task_class, asyncio.Task, foreign=False, named=True)
            factory = asyncio.create_eager_task_factory(  # type: ignore[attr-defined]
                lambda coro, *, loop, **kwargs: make(loop, coro, **kwargs)
            )
        else:
            make = _swapped(inner, self._making)
            factory = build(make, make, foreign=True, named=True)
        factory.taskscope_inner = inner
        factory.taskscope_shown = factory if _is_eager(inner) else inner
        return factory

    # -- tasks created out of the caller's sight ----------------------------------------------------

    def _patch_run_coroutine_threadsafe(self) -> None:
        """Remembers the caller: a callback in the loop's thread will create the task."""
        import asyncio
        from asyncio import tasks

        original = tasks.run_coroutine_threadsafe
        self.part.wrap(tasks, "run_coroutine_threadsafe", before=self.births.remember_remote)
        if asyncio.run_coroutine_threadsafe is original:
            self.part.replace(asyncio, "run_coroutine_threadsafe", tasks.run_coroutine_threadsafe)


def _is_eager(factory: object) -> bool:
    return factory is not None and factory is getattr(sys.modules["asyncio"], "eager_task_factory", None)


def _is_ours(factory: Any) -> bool:
    return type(factory) is FunctionType and "taskscope_inner" in factory.__dict__


def _shown(factory: Any) -> Any:
    """The factory the program sees: the one it set itself."""
    return factory.taskscope_shown if _is_ours(factory) else factory


def _setter(original: Any, link: Link) -> Any:
    def set_task_factory(loop: Any, factory: Any) -> None:
        wrap = link.before
        if wrap is not None and (factory is None or callable(factory)):
            try:
                return original(loop, wrap(factory))  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001  (an outer edge: the loop rejects our factory)
                link.fail(error)
        return original(loop, factory)  # type: ignore[no-any-return]

    return as_named(set_task_factory, original)


def _getter(original: Any, link: Link) -> Any:
    def get_task_factory(loop: Any) -> Any:
        factory = original(loop)
        shown = link.before
        if shown is not None:
            try:
                return shown(factory)
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)
                return original(loop)  # the factory without ours
        return factory

    return as_named(get_task_factory, original)


def _swapped(factory: Any, making: set[int]) -> Any:
    """The factory with a task class's signature; while it runs, its thread is in ``making``."""

    def make(coro: Any, *, loop: Any, **kwargs: Any) -> Any:
        thread = system.get_ident()
        making.add(thread)
        try:
            return factory(loop, coro, **kwargs)
        finally:
            making.discard(thread)

    return make
