"""Keeps the program's garbage out of our thread.

The interpreter starts a collection in whichever thread makes the one container too many; the program's
finalisers then run there: ``__del__``, weak references' callbacks, ``finally`` in lost coroutines.  They may
take locks, or queue callbacks without waking the loop.  In a quiet program our thread makes most containers.

So we hold objects that the collector counts, as a reserve.  Before our thread works, it frees as many as it
may need, which lowers the count; before it rests, it makes them again.  The program finds the count as
without us, so its own next container starts the collection.  No setting of the collector changes.

Not covered: a step that makes more than ``NEEDED`` containers, and answers that hold more than the reserve
while the program makes none.  Cost: 1 µs, near the threshold up to 25 µs for each of our turns.
"""

from __future__ import annotations

import gc
from itertools import repeat

from taskscope.system import clock

NEEDED = 300
"""Containers for one turn of our thread: few make more than 100."""

MOST = 1_200
"""Size of the reserve, 40 bytes each; at most ``SHARE`` of the threshold."""

SHARE = 0.75

MARGIN = 10
"""Containers below the threshold that are never filled up: those made on the way in and out of a rest."""

PATIENCE = 0.005
"""Seconds during which the program may make those few and collect, when the reserve is used up."""

IN_VAIN = 0.1
"""Seconds without another such wait, if the program made none.  A first walk makes a frame for each task."""


class _Counted:
    """With a slot, the collector counts it; and the interpreter keeps no freed ones."""

    __slots__ = ("nothing",)


class Headroom:
    """The reserve.  Used by our thread only."""

    def __init__(self) -> None:
        self._held: list[_Counted] = []
        self._next_wait = 0.0

    def take(self) -> None:
        """Call before our thread works.  If the reserve is short, it leaves the program the last few."""
        if self._free() or clock.monotonic() < self._next_wait:
            return
        self.give_back()
        clock.sleep(PATIENCE)
        if not self._free():
            self._next_wait = clock.monotonic() + IN_VAIN

    def _free(self) -> bool:
        short = NEEDED - (gc.get_threshold()[0] - gc.get_count()[0])
        if short <= 0:
            return True
        enough = short <= len(self._held)
        del self._held[-short:]
        return enough

    def give_back(self) -> None:
        """Call before our thread rests."""
        threshold = gc.get_threshold()[0]
        held = self._held
        missing = min(MOST, int(SHARE * threshold)) - len(held)
        if missing > 0:
            room = threshold - MARGIN - gc.get_count()[0]
            held += [_Counted() for _ in repeat(None, min(missing, room))]
