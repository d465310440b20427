"""Answers to: can anything wake these tasks?  Worked out for few of a site, and kept for a while."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope import model
from taskscope.agent.inspect import stuck
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.agent.inspect.island import OwnRef
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Wait

PROVABLE: frozenset[Wait] = frozenset(
    (
        "future",
        "event",
        "queue.get",
        "queue.put",
        "condition",
        "lock",
        "semaphore",
        "barrier",
        "task",
        "gather",
    )
)
"""Waits that may be without end.  Time, the kernel or a thread ends the others."""

MOST = 20
"""Tasks of one site that are asked about."""

KEEP, SHARE = 10.0, 500
"""An answer is given again for so many seconds, and for so many times its cost."""

MAX_KNOWN, MAX_NAMES = 100, 3


class _Known(NamedTuple):
    until: float
    cost: float
    found: dict[int, stuck.Waking]
    monotonic: float


class Proofs:
    """Refers to no object of the program."""

    def __init__(self, loops: Callable[[], list[tuple[int, Any]]]) -> None:
        self._loops = loops
        self._known: dict[tuple[str, int], _Known] = {}

    def of_site(self, site: int, tasks: Sequence[OwnRef]) -> Job[model.Reach | None]:
        """What can be said of these tasks of a site; None if there are none."""
        if not tasks:
            return None
        known = yield from self._ask(("site", site), tasks)
        found = known.found.values()
        names = Counter(each.by for each in found if each.by)
        return model.Reach(
            known.monotonic,
            round(known.cost, 6),
            len(known.found),
            sum(each.fate == "stuck" for each in found),
            sum(each.fate == "lost" for each in found),
            sum(each.fate == "endless" for each in found),
            tuple(name for name, _ in names.most_common(MAX_NAMES)),
        )

    def of_task(self, serial: int, task: OwnRef) -> Job[stuck.Waking | None]:
        """What can be said of one task; None if it went on meanwhile."""
        known = yield from self._ask(("task", serial), [task])
        return known.found.get(serial)

    def _ask(self, key: tuple[str, int], tasks: Sequence[OwnRef]) -> Job[_Known]:
        known = self._known.pop(key, None)
        if known is None or clock.monotonic() > known.until:
            begun = clock.thread_time()
            found = yield from stuck.wakings(tasks, [loop for _, loop in self._loops()])
            cost = clock.thread_time() - begun
            now = clock.monotonic()
            known = _Known(now + max(KEEP, SHARE * cost), cost, found, now)
        self._known[key] = known
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return known
