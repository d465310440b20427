"""Coexistence with aiomonitor: its task factory stays untouched, its records reveal births.

aiomonitor's factory records the stack of its caller.  If ours wrapped it, every task would appear to be
created by our line.  So a monitor's factory stays in place, and births are recorded when the monitor stores a
stack: its dictionary of stacks gets a class of ours, in one assignment that one assignment undoes.
"""

from __future__ import annotations

import gc
import sys
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, ref

from taskscope.agent.hooks.direct import itself
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.looking import attribute, module_of
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.hooks.births import Births
    from taskscope.agent.hooks.parts import Link, Part

_MODULE = "aiomonitor.monitor"

YOUNG = 1.0
"""Seconds within which a monitor's factory has certainly stored a task's creation stack."""


class MonitorPeer:
    """The monitors whose records are followed: ``births`` records the births they record."""

    def __init__(self, births: Births, part: Part, registry: Registry) -> None:
        self._registry = registry
        self._followed: list[ref[Any]] = []
        self._class = _noting_class(births.factory(itself, itself, foreign=True, named=True), part.link())
        part.on_undo(self._release)

    def follow(self, factory: Any) -> bool:
        """Whether ``factory`` is a monitor's; if so, follows its records."""
        if not is_monitor_factory(factory):
            return False
        monitor = factory.__self__
        records = getattr(monitor, "_created_tracebacks", None)
        if type(records) is WeakKeyDictionary:
            self._followed.append(ref(monitor))
            records.__class__ = self._class
        elif type(records) is not self._class:
            self._registry.drop("births (unsupported aiomonitor version)")
        return True

    def _release(self) -> None:
        """Restores every monitor's plain dictionary."""
        for reference in self._followed:
            monitor = reference()
            if monitor is not None and type(monitor._created_tracebacks) is self._class:
                monitor._created_tracebacks.__class__ = WeakKeyDictionary
        self._followed.clear()


def _noting_class(note: Callable[..., Any], link: Link) -> type:
    class Records(WeakKeyDictionary[Any, Any]):
        """A monitor's stacks by task; its factory stores each while the caller's frames are live."""

        def __setitem__(self, task: Any, stack: Any) -> None:
            super().__setitem__(task, stack)
            if link.part is not None:
                try:
                    note(task.get_loop(), getattr(task, "_orig_coro", None), task=task)
                except Exception as error:  # noqa: BLE001  (an outer edge)
                    link.fail(error)

    return Records


def is_monitor_factory(factory: Any) -> bool:
    """Whether ``factory`` is a method of an aiomonitor (determined without importing it)."""
    if type(factory) is not MethodType or not _is_monitor(factory.__self__):
        return False
    return getattr(factory.__func__, "__name__", "") == "_create_task"


def _is_monitor(value: Any) -> bool:
    """Inspects the class only if aiomonitor is loaded."""
    kind = getattr(sys.modules.get(_MODULE), "Monitor", None)
    return isinstance(kind, type) and issubclass(type(value), kind)


class Noted(NamedTuple):
    """What a monitor recorded of a birth: the stack, outermost first, the monotonic time, and the parent.

    ``parent``: None if it was created outside any task, else a weak reference, which may be dead.
    """

    stack: list[Any]
    birth: float | None
    parent: ref[Any] | None


def noted(task: Any) -> Noted | None:
    """What a monitor recorded about ``task``; None if none created it."""
    if _MODULE not in sys.modules or attribute(task, "_orig_coro") is None:
        return None
    for held in gc.get_referents(
        futures.coroutine(task)
    ):  # its wrapper is a bound method that refers to the monitor
        if _is_monitor(held):
            stack = held._created_tracebacks.get(task)
            if stack is None:
                return None
            began = getattr(task, "_started_at", None)  # by the performance counter
            birth = clock.monotonic() - (clock.perf_counter() - began) if began is not None else None
            return Noted(stack, birth, getattr(held, "_created_traceback_chains", {}).get(task))
    return None


def in_the_making(task: Any) -> bool:
    """Whether a monitor's factory has yet to store this task's creation stack."""
    if module_of(type(task)) != "aiomonitor.task":
        return False
    now = clock.perf_counter()
    return now - getattr(task, "_started_at", now) < YOUNG and noted(task) is None


def monitors() -> list[Any]:
    """The monitors running in this process: each has a thread that runs its ``_ui_main``."""
    if _MODULE not in sys.modules:
        return []
    threads = sys.modules["threading"].enumerate()
    owners = [getattr(getattr(each, "_target", None), "__self__", None) for each in threads]
    return [owner for owner in owners if _is_monitor(owner)]
