"""Whether anything but its own threads can make the process move: a signal, a timer, the network.

Where nothing can and every thread waits for another one, nothing will ever happen.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub; ``signal`` runs Python
from typing import TYPE_CHECKING

from taskscope.agent.inspect import turns
from taskscope.agent.inspect.looking import attribute, items, number, size
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.agent.inspect.walk import Job

MAX_TIMERS = 2_000
"""Timers of a loop searched for one that is not cancelled."""


def is_secluded(loops: Iterable[object]) -> Job[bool]:
    """Whether no signal handler of the program's, and no loop, waits for anything from outside.

    Ctrl-C does not count: it ends what the program does.
    """
    handlers = (_signal.getsignal(each) for each in range(1, _signal.NSIG) if each != _signal.SIGINT)
    if any(callable(each) for each in handlers):
        return False
    for loop in loops:
        if not is_quiescent(loop):
            return False
        if spent():
            yield
    return True


def is_quiescent(loop: object) -> bool:
    """Whether a loop has nothing to run, no timer, and no descriptor but the one by which threads wake it."""
    keys = attribute(turns.variable(loop, "_selector"), "_fd_to_key")
    count = size(keys)
    if count is None or turns.length(loop, "_ready") != 0:
        return False
    if count != number(turns.variable(loop, "_internal_fds")):
        return False
    timers = turns.length(loop, "_scheduled")
    if timers is None or timers > MAX_TIMERS:
        return False
    return all(
        attribute(each, "_cancelled") is True
        for each in items(turns.variable(loop, "_scheduled"), MAX_TIMERS)
    )
