"""Who is ahead of tasks that wait: the holder of their lock, the thread that can set what they wait for."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from taskscope.agent.answers.groups import ParkedTally, parked_key
from taskscope.agent.hooks.threads import note_of
from taskscope.agent.inspect import futures, origins, referents, stacks, task_facts
from taskscope.agent.inspect.island import OwnRef, inside
from taskscope.agent.inspect.looking import items
from taskscope.agent.inspect.threads import ident_of, known_threads
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import live_tasks, spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from taskscope import model
    from taskscope.agent.counts.registry import SiteRecord
    from taskscope.agent.inspect.walk import Job

MOST_TASKS = 2_000
"""Tasks among which a holder is searched for: 10 µs each, in slices."""

MOST_THREADS = 300

MOST_ENTRIES = 1_000


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
            tally.add(task, where)
            return tally.parked(parked_key(where))
        del task, thing
        if spent():
            yield
    return None


def setter_of(things: Sequence[OwnRef]) -> Job[model.Frame | None]:
    """The line that starts the threads whose functions lead to these objects; None if none do."""
    if not things:
        return None
    found: Counter[model.Frame] = Counter()
    for reference in [OwnRef(each) for each in known_threads()[:MOST_THREADS]]:
        thread = reference()
        note = note_of(thread)
        if note is not None:
            frames = stacks.thread_frames(stacks.current_frames().get(ident_of(thread) or 0))
            found[note.record.site.frame] += sum(_leads(frames, each()) for each in things)
            del frames
        del thread, note
        if spent():
            yield
    line, count = max(found.items(), key=lambda entry: entry[1], default=(None, 0))
    return line if count else None


def _leads(frames: Sequence[FrameType], thing: object) -> bool:
    """Whether a variable of a thread's own functions is this object, or one that refers to it."""
    own = (each for each in frames if origins.origin(origins.file_of(each.f_code)) != "stdlib")
    return thing is not None and any(
        value is thing or (referents.is_looked_into(value) and _refers(value, thing))
        for frame in own
        for value in variables_of(frame).values()
    )


def _refers(value: object, thing: object) -> bool:
    known = inside(value)
    attributes = (each for each in known if type(each) is dict and len(each) <= MOST_ENTRIES)
    return any(
        each is thing
        for some in (known, *(items(names, MOST_ENTRIES) for names in attributes))
        for each in some
    )
