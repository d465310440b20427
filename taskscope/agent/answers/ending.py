"""What a process that is ending waits for: the chain down to the system call and its descriptors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import standing
from taskscope.agent.inspect import futures, other_ends, processes, stacks, system_calls, waited
from taskscope.agent.inspect.blocking import activity
from taskscope.agent.inspect.looking import attribute, items
from taskscope.agent.inspect.thread_waits import kernel_view, waits_in
from taskscope.agent.inspect.threads import ident_of, native_of
from taskscope.agent.inspect.workers import Workers
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import EndingHow

MAX_STEPS = 8
MAX_CHILDREN = 1_000


class EndingWatch:
    """Since when the process has been ending, as seen by earlier looks."""

    def __init__(self) -> None:
        self._how: EndingHow | None = None
        self._last = 0
        self._since = 0.0

    def look(self) -> Job[model.Ending | None]:
        """What it waits for; None: it is not ending."""
        how = waited.leaving_by(stacks.current_frames())
        if how is None:
            self._how = None
            return None
        steps = _chain()
        if not steps:
            return None
        last = steps[-1]
        if (how, last.number) != (self._how, self._last):
            self._how, self._last, self._since = how, last.number, clock.monotonic()
        call = ""
        endless = may_answer = False
        descriptors: tuple[model.Descriptor, ...] = ()
        if last.kind == "thread":
            native = native_of(last.number)
            frame = stacks.current_frames().get(last.number)
            does = activity(frame, running=kernel_view(native)[1], loop=None)
            del frame
            found = system_calls.of_thread(native)
            call, endless = (found.name, found.endless) if found is not None else ("", False)
            descriptors = waits_in(native, does)[1]
            yield
            descriptors = yield from other_ends.of_all(descriptors)
            may_answer = _may_answer(descriptors, found.pid if found is not None else 0)
        return model.Ending(how, self._since, tuple(steps), call, endless, descriptors, may_answer)


def _may_answer(descriptors: tuple[model.Descriptor, ...], child: int) -> bool:
    """Whether somebody outside of this process may still end the wait."""
    ends = [end for each in descriptors for end in each.others or ()]
    pids = {end.pid for end in ends if not end.here} | ({child} if child else set())
    return any(map(_goes_on, pids)) or any(map(_is_far, descriptors))


def _goes_on(pid: int) -> bool:
    """Whether a thread of another process runs, or waits for a limited time."""
    calls = [system_calls.of_thread(each, pid) for each in processes.threads_of(pid)]
    return any(call is None or not call.endless for call in calls)


def _is_far(each: model.Descriptor) -> bool:
    """Whether it is connected to another machine, of which nothing is seen."""
    return each.kind == "tcp" and not each.others and not each.remote.startswith(("127.", "[::1]"))


def _chain() -> list[model.WaitNode]:
    """From the main thread to what everything waits for in the end."""
    workers = Workers()
    thing: object = vars(threading)["_main_thread"]
    steps: list[model.WaitNode] = []
    seen: set[int] = set()
    while thing is not None and len(steps) < MAX_STEPS and id(thing) not in seen:
        seen.add(id(thing))
        if futures.is_task(thing):
            steps.append(
                standing.with_task(model.WaitNode(0, "task", ""), futures.serial_of(thing) or 0, thing)
            )
            thing = _next(waited.by_task(thing), workers)
            continue
        ident = thing if type(thing) is int else ident_of(thing)
        frame = stacks.current_frames().get(ident or 0)
        if frame is None or ident is None:
            break
        steps.append(standing.with_thread(model.WaitNode(0, "thread", ""), ident))
        future = waited.runs_until(frame)
        thing = _undone(future) if future is not None else _next(waited.by_thread(frame), workers)
        del frame
    return steps


def _undone(future: object) -> object:
    """A task that a loop runs until the end of; of a gather, one that it waits for."""
    if futures.is_task(future):
        return future
    children = items(attribute(future, "_children"), MAX_CHILDREN)
    return next((each for each in children if futures.is_task(each) and not futures.is_done(each)), None)


def _next(found: waited.Waited, workers: Workers) -> object:
    """The thread or task that comes next in the chain."""
    for how, thing in found.ahead:
        if how == "ends":
            return thing
        if how == "runs":
            return waited.task_behind(thing) or workers.running.get(id(thing))
    return None
