"""Stops the program wherever it is, for a look at its stacks.

A thread would let ours run where it gives up the GIL anyway, and always be found there.  So for the fraction
of a millisecond in which ours waits for a look, threads give it up sooner.  The interval belongs to the
interpreter, not to a thread: it is a change to the program like any other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.hooks.parts import Part

SWITCH = 0.00005
"""Seconds after which a thread gives up the GIL meanwhile."""


def interrupt(part: Part, seconds: float) -> None:
    """Lets the program run for so long, then stops it wherever it is: our thread has the GIL again."""
    part.arm(_hasten, part)
    clock.sleep(seconds)
    part.undo()


def _hasten(part: Part) -> None:
    part.on_undo(_put_back, sys.getswitchinterval())
    sys.setswitchinterval(SWITCH)


def _put_back(interval: float) -> None:
    if abs(sys.getswitchinterval() - SWITCH) < SWITCH / 10:  # else the program has set its own
        sys.setswitchinterval(interval)
