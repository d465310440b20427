"""Which threads work on what they took from a queue that they share."""

from __future__ import annotations

from _queue import SimpleQueue
from collections import Counter
from queue import Queue
from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import attribute, is_a, lookup
from taskscope.agent.inspect.paths import is_in_loop
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

_TAKE = frozenset(("get", "get_nowait"))


def at_work(stacks: Mapping[int, Sequence[FrameType]]) -> set[int]:
    """Of threads, by ident with their frames, innermost first: those in a call made by a loop that takes
    items from a queue, one that others of them take from as well.
    """
    sources = {ident: set(_sources(frames)) for ident, frames in stacks.items()}
    takers = Counter(each for found in sources.values() for each in found)
    return {ident for ident, found in sources.items() if any(takers[each] > 1 for each in found)}


def _sources(frames: Sequence[FrameType]) -> Iterator[int]:
    """The ``id`` of each queue that the thread's outermost loop names; none while it waits for an item."""
    if not frames or origins.file_of(frames[0].f_code).endswith("/queue.py"):
        return
    for frame in reversed(frames):
        code = frame.f_code
        if _TAKE.isdisjoint(code.co_names) or not is_in_loop(code, frame.f_lasti):
            continue
        if frame is frames[0]:
            return  # it may be in the call that takes the next, which is not written in Python
        names = variables_of(frame)
        owned = (attribute(names.get("self"), name) for name in code.co_names)
        common = (lookup(frame.f_globals, name) for name in code.co_names)
        yield from (id(each) for each in (*names.values(), *owned, *common) if _is_queue(each))
        return


def _is_queue(thing: object) -> bool:
    return is_a(thing, Queue) or is_a(thing, SimpleQueue)
