"""What two looks at the tasks of a site show together: the shares that causes and signs rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.model import ParkedGroup, SiteFacts
    from taskscope.model.vocabulary import Wait

MOST = 0.6
"""Part of the tasks looked into that must show a sign for it to be the site's."""

SOME = 0.25
"""Part that cannot be chance."""


@dataclass(frozen=True, slots=True)
class Clues:
    """Facts with what follows from comparing them with those before.

    ``cancelling``: the fewer of both.  ``served``: the oldest has ended since.  ``workers``: some were seen
    to wait for items of a queue.
    """

    facts: SiteFacts
    advanced: int
    compared: int
    cancelling: int
    served: bool = False
    workers: bool = False

    @property
    def group(self) -> ParkedGroup | None:
        """Where most of them are parked."""
        return self.facts.groups[0] if self.facts.groups else None

    def most(self, count: int) -> bool:
        return count >= max(1, MOST * self.facts.sampled)

    def some(self, count: int) -> bool:
        return count >= max(1, SOME * self.facts.sampled)

    @property
    def orphaned(self) -> bool:
        """Whether what started most of them has ended; of tasks older than the agent that is not known."""
        known = self.facts.sampled - self.facts.rootless
        return self.facts.orphans >= max(2, MOST * known)

    def parked(self, *waits: Wait) -> int:
        return sum(group.live for group in self.facts.groups if group.wait in waits)

    @property
    def stand_still(self) -> bool:
        """Whether most of those seen twice have not moved.  Unknown counts as yes."""
        return self.advanced <= (1 - MOST) * self.compared

    @property
    def apart(self) -> bool:
        """Whether each waits for a thing of its own; what waits for one thing together goes together."""
        return bool(self.facts.waits) and not self.some(max(wait.waiters for wait in self.facts.waits))

    @property
    def at_rest(self) -> bool:
        """Whether they are workers of a pool, all at one queue, and come back to it after each job."""
        one = any(wait.kind == "queue.get" and self.most(wait.waiters) for wait in self.facts.waits)
        return one and self.some(self.facts.looping)


def clues(facts: SiteFacts, before: SiteFacts | None, *, workers: bool = False) -> Clues:
    """Compares by serial; a task seen once tells nothing."""
    known = {mark.serial: mark.where for mark in before.marks} if before is not None else {}
    then = before.monotonic if before is not None else 0.0
    both = [mark for mark in facts.marks if mark.serial in known and mark.known <= then]
    advanced = sum(1 for mark in both if known[mark.serial] != mark.where)
    cancelling = min(facts.cancelling, before.cancelling) if before is not None else 0
    oldest = before.examples[:1] if before is not None else ()
    served = bool(oldest) and oldest[0] not in facts.examples
    return Clues(facts, advanced, len(both), cancelling, served, workers)
