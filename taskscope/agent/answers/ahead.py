"""Who is ahead of tasks that wait: the holder of their lock, the thread that can set what they wait for, the
coroutine that takes from their queue.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from taskscope.agent.answers.groups import ParkedTally, parked_key
from taskscope.agent.hooks.threads import note_of
from taskscope.agent.inspect import futures, origins, referents, stacks, takers, task_facts
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.threads import ident_of, known_threads
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import live_tasks, spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from taskscope import model
    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.walk import Job

MOST_TASKS = 2_000
"""Tasks among which a holder is searched for: 10 µs each, in slices."""

MOST_THREADS = 300


def holder_of(lock: OwnRef | None, records: Iterable[SiteRecord]) -> Job[model.ParkedGroup | None]:
    """Where the task waits that is inside ``async with`` on a lock; None if none is found, or it runs."""
    if lock is None:
        return None
    for task in islice(live_tasks(list(records)), MOST_TASKS):
        thing = lock()
        if thing is not None and task is not None and task_facts.holds(task, thing):
            where = stacks.parked(task, stacks.await_chain(futures.coroutine(task)))
            if where is None:
                return None
            tally = ParkedTally(where)
            tally.add(task, where.remaining)
            return tally.parked(parked_key(where))
        del task, thing
        if spent():
            yield
    return None


def missing_taker(putter: OwnRef | None, records: Iterable[SiteRecord]) -> Job[str]:
    """The method that takes from the queue a task puts into, if no task runs it; "" if one does, or may."""
    task = putter() if putter is not None else None
    chain = task_facts.coroutines(task) if task is not None else []
    queue = task_facts.waited_object(task, chain) if chain else None
    home = None
    if queue is not None:
        home = yield from takers.home_of(queue, task_facts.frames_of(chain))
    del task, chain, queue
    codes = takers.takers_of(*home) if home is not None else []
    owner = _reference(home[0]) if home is not None else None
    del home
    if not codes or owner is None:
        return ""
    for seen, other in enumerate(live_tasks(list(records))):
        if seen == MOST_TASKS or (other is not None and takers.runs(other, codes, owner())):
            return ""
        del other
        if spent():
            yield
    return " or ".join(dict.fromkeys(map(origins.function_name, codes)))


def _reference(thing: object) -> OwnRef | None:
    try:
        return OwnRef(thing)
    except TypeError:
        return None


def setter_of(things: Sequence[OwnRef]) -> Job[model.Frame | None]:
    """The line that starts the threads whose functions lead to these objects; None if none do."""
    if not things:
        return None
    found: Counter[model.Frame] = Counter()
    left = [OwnRef(each) for each in known_threads()[:MOST_THREADS]]
    while left:
        innermost = stacks.current_frames()  # once a slice: it makes a frame object for each thread
        while left:
            thread = left.pop()()
            note = note_of(thread)
            if note is not None:
                frames = stacks.thread_frames(innermost.get(ident_of(thread) or 0))
                found[note.record.site.frame] += sum(_leads(frames, each()) for each in things)
                del frames
            del thread, note
            if spent():
                break
        innermost.clear()
        yield
    line, count = max(found.items(), key=lambda entry: entry[1], default=(None, 0))
    return line if count else None


def _leads(frames: Sequence[FrameType], thing: object) -> bool:
    """Whether a variable of a thread's own functions is this object, or one that refers to it."""
    own = (each for each in frames if origins.origin(origins.file_of(each.f_code)) != "stdlib")
    return thing is not None and any(
        value is thing or (referents.is_looked_into(value) and takers.refers(value, thing))
        for frame in own
        for value in variables_of(frame).values()
    )
