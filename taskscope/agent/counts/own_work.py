"""Work that our own thread has put into a loop that sleeps, and the wake-up that this owes.

The garbage collector runs in whichever thread allocates, ours included, and with it the program's
finalisers: a generator left behind may cancel a future, which calls ``call_soon`` without waking the loop.
"""

from __future__ import annotations

import contextvars
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from taskscope.agent.inspect import turns
from taskscope.system import system

if TYPE_CHECKING:
    from taskscope.agent.inspect.turns import Turn

SLACK = 0.1
"""Seconds by which the time at which a loop fell asleep may be wrong."""


def wakes(loop: Any, turn: Turn, since: float, collected: float) -> bool:
    """Wakes a loop that sleeps, with callbacks ready, if they are our thread's doing.

    ``since``: when it can have fallen asleep at the earliest.
    ``collected``: when the garbage collector last ran in our thread.
    """
    if not turns.length(loop, "_ready"):
        return False
    alone = set(sys._current_frames()) <= {system.get_ident(), turn.thread}
    call = turns.own_method(loop, "call_soon_threadsafe")
    if call is None or not (alone or collected >= since - SLACK):
        return False
    with suppress(RuntimeError):  # closed meanwhile
        call(_nothing, context=contextvars.Context())
    return True


def _nothing() -> None:
    """Runs in the loop."""
