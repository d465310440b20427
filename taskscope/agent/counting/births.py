"""Records births and ends of tasks in the threads that see them.

A birth is counted by the loop's factory, an end by a done callback, both in the loop's thread.  A task that
goes without one, destroyed while pending or after its loop was closed, is counted by a weak reference's
callback, in whichever thread drops it.  Tasks stay of the program's class.
"""

from __future__ import annotations

import sys
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.counting.ledgers import Living
from taskscope.agent.hooks.births import Births
from taskscope.agent.hooks.presence import Presence
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.sites import Resolver
from taskscope.system import system

if TYPE_CHECKING:
    from types import FrameType

    from taskscope.agent.counting.ledgers import Ledgers
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.hooks.parts import Link, Part, Tell


class OneAtATime(Resolver):
    """Resolves for one thread at a time what is written to be resolved under the GIL.

    The thread itself may come again: a finaliser may create a task.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._lock = system.RLock()

    def record(self, start: FrameType, coro: Any) -> SiteRecord:
        with self._lock:
            return super().record(start, coro)


class CountedBirths(Births):
    """Builds factories that count births in ``ledgers``."""

    def __init__(self, registry: Registry, part: Part, ledgers: Ledgers) -> None:
        super().__init__(registry, part)
        self._resolver.skip.add(__file__)
        self._ledgers = ledgers

    def build_class(self) -> Any:
        return sys.modules["asyncio"].Task

    def build_resolver(self) -> Resolver:
        return OneAtATime(self.registry)

    def arm(self) -> None:
        self._part.on_undo(self._ledgers.let_go)
        self._part.on_undo(self._remote.clear)
        self._link = self._part.link(self._born, self._over)
        self._callback = _ending(self._link)

    def release_class(self) -> None:
        """It is asyncio's own."""

    def factory(self, make: Any, plain: Any, *, foreign: bool, named: bool) -> Any:
        """A factory that creates a task with ``make(coro, loop=…)`` and counts its birth."""
        link, getframe = self._link, sys._getframe

        def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
            task = make(coro, loop=loop, **kwargs)
            born: Any = link.before
            if born is not None:
                try:
                    born(task, coro, getframe(1))
                except (RecursionError, MemoryError):
                    born.__self__.registry.drop("births")  # the program is at its own limit: leave it alone
                except Exception as error:  # noqa: BLE001  (an outer edge)
                    link.fail(error)
            return task

        return factory

    def _born(self, task: Any, coro: Any, frame: FrameType) -> None:
        ledger = self._ledgers.mine()
        if ledger.last is not None and ledger.last() is task:
            return  # the program's factory called ours
        site = self._site(coro, frame).id
        entry = ledger.entry(site)
        entry.born += 1
        if futures.is_done(task):  # eagerly
            ledger.last = ref(task)
            entry.end(task)
            return
        living = ledger.last = Living(task, self._callback)
        living.ledger, living.site = ledger, site
        ledger.living[id(living)] = living
        # A separate context: a shared one can be entered by only one thread at a time.
        task.add_done_callback(partial(self._callback, living), context=Context())

    def _site(self, coro: Any, start: FrameType) -> SiteRecord:
        """Where the task is created; a line seen before takes no lock."""
        skip, frame = self._resolver.skip, start
        while frame.f_code.co_filename in skip and frame.f_back is not None:
            frame = frame.f_back
        key = (id(frame.f_code), frame.f_lasti, id(getattr(coro, "cr_code", None)))
        record = self.registry.records.get(key) or self._resolver.ways.known(frame, key)
        return record or self._remote.pop(id(coro), None) or self._resolver.record(start, coro)

    def _over(self, living: Living, task: Any) -> None:
        if living.ledger.living.pop(id(living), None) is not None:
            self._ledgers.mine().entry(living.site).end(task)


def _ending(link: Link) -> Any:
    """A done callback, with the living one bound, and without the callback of its reference."""

    def ended(living: Living, task: Any = None) -> None:
        over = link.after
        if over is not None:
            try:
                over(living, task)
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)

    return ended


class CountingPresence(Presence):
    """Hooks that count tasks, and change nothing else."""

    def __init__(self, registry: Registry, tell: Tell, ledgers: Ledgers) -> None:
        super().__init__(registry, tell)
        self._ledgers = ledgers

    def arm_threads(self) -> None:
        """They are not counted."""

    def births(self, part: Part) -> Births:
        return CountedBirths(self._registry, part, self._ledgers)

    def older_loops(self) -> list[Any]:
        """That of the calling thread: others are not looked for."""
        running = sys.modules["asyncio"]._get_running_loop()
        return [] if running is None else [running]
