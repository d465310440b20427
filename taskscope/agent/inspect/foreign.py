"""Tasks of trio, as the registry knows them: a stand-in for each.

A task of trio has no room for our marks, and waits for no future.  Its stand-in has the attributes that
``futures`` reads of a task of asyncio's; whoever notes births keeps it until the task ends.
"""

from __future__ import annotations

from math import inf
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING

from taskscope.agent.inspect.looking import attribute, items, number, seconds, text
from taskscope.agent.inspect.timers import FOREVER
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any
    from weakref import ref

    from taskscope.agent.counts.site_record import Chunk, Lineage

MAX_DEPTH = 128
"""Coroutines followed inwards."""


class StandIn:
    """Refers weakly to the task, by ``_task``.  ``_state`` and ``_exception`` are set when it ends."""

    __slots__ = (
        "__weakref__",
        "_exception",
        "_state",
        "_task",
        "_taskscope_birth",
        "_taskscope_chunk",
        "_taskscope_estimate",
        "_taskscope_lineage",
        "_taskscope_parent",
        "_taskscope_serial",
    )
    _exception: object
    _state: str
    _task: ref[Any]
    _taskscope_birth: float | None
    _taskscope_chunk: Chunk | None
    _taskscope_estimate: float | None
    _taskscope_lineage: Lineage | None
    _taskscope_parent: Lineage | None
    _taskscope_serial: int

    @property
    def name(self) -> str:
        return text(attribute(self._task(), "name"))

    @property
    def coroutine(self) -> object:
        return attribute(self._task(), "coro")

    @property
    def run(self) -> object:
        return attribute(self._task(), "_runner")

    @property
    def is_done(self) -> bool:
        return attribute(self, "_state") is not None

    def waiter(self) -> object:
        """The innermost thing it awaits, a new one each time; None if it runs, or is about to."""
        if attribute(self._task(), "_abort_func") is None:
            return None
        awaited = self.coroutine
        for _ in range(MAX_DEPTH):
            if type(awaited) is CoroutineType:
                inner = awaited.cr_await
            elif type(awaited) is GeneratorType:
                inner = awaited.gi_yieldfrom
            else:
                inner = attribute(awaited, "cr_await")
            if inner is None:
                break
            awaited = inner
        return awaited

    @property
    def steps(self) -> int:
        """How often it has given way to others."""
        return number(attribute(self._task(), "_schedule_points")) or 0

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or has only given way: nothing has woken it."""
        coro = self.coroutine
        for _ in range(MAX_DEPTH):
            if type(coro) is not CoroutineType:
                return False
            if coro.cr_running or coro.cr_code.co_name == "cancel_shielded_checkpoint":
                return True
            coro = coro.cr_await
        return False

    def children(self, frames: list[FrameType]) -> list[object]:
        """The tasks of the nursery that it waits for, if it does.  ``frames``: its await chain."""
        for frame in frames:
            if frame.f_code.co_name == "_nested_child_finished":
                nursery = variables_of(frame).get("self")
                every = (known.get(id(each)) for each in items(attribute(nursery, "_children"), 1_000))
                return [each for each in every if each is not None]
        return []

    def awaiters(self) -> list[object]:
        """The task whose nursery it runs in, if that waits for it already."""
        nursery = attribute(self._task(), "_parent_nursery")
        parent = known.get(id(attribute(nursery, "_parent_task")))
        waits = attribute(nursery, "_parent_waiting_in_aexit") is True
        return [parent] if parent is not None and waits else []

    def may_give_up(self) -> bool:
        """Whether it is cancelled, or a deadline will cancel it."""
        status = attribute(self._task(), "_cancel_status")
        for _ in range(MAX_DEPTH):
            scope = attribute(status, "_scope")
            deadline = seconds(attribute(scope, "_deadline"))
            if deadline != inf or attribute(status, "effectively_cancelled") is not False:
                return True
            status = attribute(status, "_parent")
            if status is None or attribute(scope, "_shield") is True:
                return False
        return True

    def left(self, frames: list[FrameType]) -> float | None:
        """Seconds until its sleep ends; None if it sleeps forever, or by a clock of the program's."""
        offset = seconds(attribute(attribute(self.run, "clock"), "offset"))
        for frame in frames:
            if frame.f_code.co_name == "sleep_until" and offset is not None:
                deadline = seconds(variables_of(frame).get("deadline"))
                left = deadline - offset - clock.perf_counter() if deadline is not None else FOREVER
                return left if left < FOREVER else None
        return None


known: dict[int, StandIn] = {}
"""Those of the live tasks, by the ``id`` of each."""


def of(task: object) -> object:
    """The stand-in of a task of trio; anything else unchanged."""
    stand = known.get(id(task))
    return stand if stand is not None and stand._task() is task else task
