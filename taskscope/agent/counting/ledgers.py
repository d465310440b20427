"""What was counted, by thread: each thread writes only its own ledger.

So no count is lost, whichever threads run at once.  Within a thread a finaliser may count between any two
statements, never inside one without a call.  Whoever reads all ledgers copies each dictionary, in one call,
and walks the copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.inspect import futures
from taskscope.system import system

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry

OUTCOMES = ("finished", "failed", "cancelled", "unseen")


class Entry:
    """The counts of one site in one thread."""

    __slots__ = ("born", *OUTCOMES)

    def __init__(self) -> None:
        self.born = self.finished = self.failed = self.cancelled = self.unseen = 0

    def end(self, task: object) -> None:
        """Counts the end of a task that is done; None: it went without."""
        if task is None:
            self.unseen += 1
        elif futures.state_of(task) == "CANCELLED":
            self.cancelled += 1
        elif futures.field(task, "_exception") is not None:
            self.failed += 1
        else:
            self.finished += 1


class Ledger:
    """Of one thread.  ``living``: the tasks born there whose end is yet to be counted, by identity of the
    reference; the thread that takes one out counts its end.  ``last``: the task counted last.
    """

    __slots__ = ("entries", "last", "living")

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.living: dict[int, Living] = {}
        self.last: ref[Any] | None = None

    def entry(self, site: int) -> Entry:
        """The counts of a site."""
        return self.entries.get(site) or self.entries.setdefault(site, Entry())


class Living(ref[Any]):
    """A task whose end is yet to be counted.  It is never asked for the task."""

    __slots__ = ("ledger", "site")
    ledger: Ledger
    site: int


class Ledgers:
    """One per thread; a thread that comes later under the number of an ended one goes on with its ledger."""

    def __init__(self) -> None:
        self._of: dict[int, Ledger] = {}

    def mine(self) -> Ledger:
        """That of the calling thread."""
        ident = system.get_ident()
        return self._of.get(ident) or self._of.setdefault(ident, Ledger())

    def let_go(self) -> None:
        """Keeps nothing by which tasks would call us."""
        for ledger in self._of.copy().values():
            ledger.living.clear()

    def add_up(self, registry: Registry) -> None:
        """Writes the sums to the records of ``registry``; nobody else writes these counters."""
        sums: dict[int, list[int]] = {}
        for ledger in self._of.copy().values():
            for site, entry in ledger.entries.copy().items():
                known = sums.get(site, (0,) * (1 + len(OUTCOMES)))
                sums[site] = [known[at] + getattr(entry, name) for at, name in enumerate(Entry.__slots__)]
        for site, counts in sums.items():
            record = registry.by_id[site]
            record.born, record.finished, record.failed, record.cancelled, record.unseen = counts
