"""Whether anything from another machine can make the process move, or a signal or a timer.

Where nothing can and every thread waits for another one, nothing will ever happen.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub; ``signal`` runs Python
from typing import TYPE_CHECKING

from taskscope.agent.inspect import other_ends, processes, runs, turns
from taskscope.agent.inspect.looking import attribute, items, number, size
from taskscope.agent.inspect.primitives import number_of
from taskscope.agent.inspect.system_calls import On
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.agent.inspect.walk import Job

MAX_TIMERS = 2_000
"""Timers of a loop searched for one that is not cancelled."""

_READ, _WRITE = 1, 2  # of selectors

_IN, _OUT = 1, 4  # of epoll

MAX_REGISTERED = 20
"""Descriptors that a loop may wait on beside its own, if the other end of each is on this machine."""


def is_secluded(loops: Iterable[object]) -> Job[bool]:
    """Whether no signal handler of the program's, and no loop, waits for anything from another machine.

    Ctrl-C does not count: it ends what the program does.
    """
    handlers = (_signal.getsignal(each) for each in range(1, _signal.NSIG) if each != _signal.SIGINT)
    if any(callable(each) for each in handlers):
        return False
    for loop in loops:
        if not (yield from is_quiescent(loop)):
            return False
    return True


def is_quiescent(loop: object) -> Job[bool]:
    """Whether a loop has nothing to run, no timer, and no descriptor whose other end is elsewhere."""
    if turns.length(loop, "_ready") != 0:
        return False
    timers = turns.length(loop, "_scheduled")
    if runs.is_run(loop) and (timers != 0 or runs.is_asked(loop)):
        return False
    if timers is None or timers > MAX_TIMERS:
        return False
    if any(
        attribute(each, "_cancelled") is not True
        for each in items(turns.variable(loop, "_scheduled"), MAX_TIMERS)
    ):
        return False
    known = registered_of(loop)
    for each in known or ():
        if not _is_of_this_machine(each.number):
            return False
        if spent():
            yield
    return known is not None


def _is_of_this_machine(number: int) -> bool:
    return other_ends.other_end(number) is not None or processes.behind(number) != 0


def registered_of(loop: object) -> list[On] | None:
    """The descriptors that a loop waits on, but the one by which threads wake it; None: unknown, or many."""
    if runs.is_run(loop):
        seen = runs.registered(loop)
        return (
            [On(fd, bool(bits & _IN), bool(bits & _OUT)) for fd, bits in seen] if seen is not None else None
        )
    keys = attribute(turns.variable(loop, "_selector"), "_fd_to_key")
    count = size(keys)
    if count is None or count > MAX_REGISTERED:
        return None
    own = number_of(turns.variable(loop, "_ssock"))
    found = []
    for key in items(keys, MAX_REGISTERED):
        _, fd, events, *_ = (*items(key, 3), None, None, None)
        here, bits = number(fd), number(events)
        if here is not None and bits is not None and here != own:
            found.append(On(here, bool(bits & _READ), bool(bits & _WRITE)))
    return found if len(found) == count - (number(turns.variable(loop, "_internal_fds")) or 0) else None
