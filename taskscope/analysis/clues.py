"""What two successive facts of a site show together: the evidence patterns are matched on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from taskscope.model import Counts
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.model import Keeper, ParkedGroup, Site, SiteFacts
    from taskscope.model.vocabulary import Wait

MOST = 0.6
"""Share of the sampled tasks from which an observation holds for the site."""

SOME = 0.25
"""Share too large to be chance."""


@dataclass(frozen=True, slots=True)
class Clues:
    """Facts, compared with the previous ones.

    Of the ``compared`` tasks seen both times, ``between`` seconds apart, ``advanced`` have moved.
    ``cancelling``, ``closed``: the smaller of the two counts.  ``served``: the oldest task has ended since.
    ``workers``: some have waited on a queue.  ``comes``: see ``Moves``.  ``kept_by``: see the function.
    ``keeper_grows``: that container has gained entries since.  ``counts``: of the site, as far as they are
    known.  ``starter``: the function at its line.  ``opened``: what that line has a library start,
    ``Connection.keepalive``; "" if it starts code of its own.
    """

    facts: SiteFacts
    advanced: int
    compared: int
    cancelling: int
    closed: int = 0
    between: float = 0.0
    served: bool = False
    workers: bool = False
    comes: bool = False
    kept_by: str = ""
    keeper_grows: bool = False
    counts: Counts = Counts()
    starter: str = ""
    opened: str = ""

    @property
    def cleaning_up(self) -> ParkedGroup | None:
        """Where most cancelled ones wait, if only these do: in their cleanup, not in the loop of all."""
        most = max(self.facts.groups, key=lambda each: each.cancelling, default=None)
        if most is None or not most.cancelling or most.cancelling < most.live:
            return None
        others = any(each.live > each.cancelling for each in self.facts.groups)
        return most if others and most.cancelling >= MOST * self.facts.cancelling else None

    @property
    def kept(self) -> bool:
        """Whether more than what they wait for refers to them, so that somebody could end them."""
        return not self.most(self.facts.unheld)

    @property
    def what_is_kept(self) -> str:
        """The subject of a sentence about the keeper, with its verb."""
        return "what they wait for is" if self.most(self.facts.unheld) else "they are"

    @property
    def turns_over(self) -> bool:
        """Whether more have ended than live: whatever they wait for comes."""
        return self.counts.ended > self.counts.live

    @property
    def group(self) -> ParkedGroup | None:
        """The largest parked group."""
        return self.facts.groups[0] if self.facts.groups else None

    def most(self, count: int) -> bool:
        return count >= max(1, MOST * self.facts.sampled)

    def some(self, count: int) -> bool:
        return count >= max(1, SOME * self.facts.sampled)

    @property
    def orphaned(self) -> bool:
        """Whether the creators of most have ended; tasks older than the agent do not count.

        If one task has created all of them and has ended, there will be no more: it was a start-up.
        """
        return self.facts.creators != 1 and self._most_known(self.facts.orphans)

    @property
    def left(self) -> bool:
        """Whether most were left by a wait or gather; of tasks older than the agent this may be unknown."""
        return self._most_known(self.facts.left)

    def _most_known(self, count: int) -> bool:
        return count >= max(2, MOST * (self.facts.sampled - self.facts.rootless))

    def parked(self, *waits: Wait) -> int:
        return sum(group.live for group in self.facts.groups if group.wait in waits)

    @property
    def proven(self) -> bool:
        """Whether it is certain of two or more that nothing can wake them."""
        return self.facts.reach is not None and self.facts.reach.stuck >= 2

    @property
    def timed(self) -> bool:
        """Whether a timer ends the wait of most."""
        reach = self.facts.reach
        return reach is not None and reach.timed >= max(1, MOST * reach.asked)

    @property
    def stand_still(self) -> bool:
        """Whether most of those seen twice have not moved; true if none was."""
        return self.advanced <= (1 - MOST) * self.compared

    @property
    def may_leave(self) -> bool:
        """Whether most go round in a loop with a condition, which may end it in any round."""
        return self.compared > 0 and not self.stand_still and self.most(self.facts.conditional)

    @property
    def unread(self) -> bool:
        """Whether they are kept where the program never looks: nobody can end them there."""
        return self.facts.keeper is not None and self.facts.keeper.unread

    @property
    def outgoing(self) -> bool:
        """Whether the program has opened the connections that they wait on: some lead to one address.

        Those that it accepts come from one each.
        """
        remotes = Counter(on.remote for on in self.facts.descriptors if on.remote)
        return max(remotes.values(), default=0) > 1

    @property
    def apart(self) -> bool:
        """Whether each waits for its own object; tasks that share one wake together."""
        return bool(self.facts.waits) and not self.some(max(wait.waiters for wait in self.facts.waits))

    @property
    def at_rest(self) -> bool:
        """Whether they are idle workers: all wait on one queue and return to it after each item."""
        one = any(wait.kind == "queue.get" and self.most(wait.waiters) for wait in self.facts.waits)
        return one and self.some(self.facts.looping)


def clues(
    site: Site,
    facts: SiteFacts,
    before: SiteFacts | None,
    *,
    workers: bool = False,
    comes: bool = False,
    counts: Counts | None = None,
) -> Clues:
    """Compares by serial; a task seen once says nothing about movement."""
    known = {mark.serial: mark.where for mark in before.marks} if before is not None else {}
    then = before.monotonic if before is not None else 0.0
    both = [mark for mark in facts.marks if mark.serial in known and mark.known <= then]
    advanced = sum(1 for mark in both if known[mark.serial] != mark.where)
    cancelling = min(facts.cancelling, before.cancelling) if before is not None else 0
    closed = min(facts.closed, before.closed) if before is not None else 0
    oldest = before.examples[:1] if before is not None else ()
    served = bool(oldest) and oldest[0] not in facts.examples
    return Clues(
        facts,
        advanced,
        len(both),
        cancelling,
        closed,
        facts.monotonic - then if before is not None else 0.0,
        served,
        workers,
        comes,
        kept_by(facts, before),
        keeper_grows(facts, before),
        counts or Counts(),
        site.frame.function,
        site.coroutine if _is_of_a_library(site, facts) else "",
    )


def _is_of_a_library(site: Site, facts: SiteFacts) -> bool:
    """Whether a line of the program calls a library that starts a coroutine of its own, behind that line."""
    group = facts.groups[0] if facts.groups else None
    behind = site.via is not None and site.via.origin == "library" and site.frame.origin == "user"
    return behind and group is not None and group.frame.origin == "library"


def kept_by(facts: SiteFacts, before: SiteFacts | None) -> str:
    """What keeps the tasks; or ""."""
    return keeper_as_text(facts.keeper, grows=keeper_grows(facts, before))


def keeper_as_text(keeper: Keeper | None, *, grows: bool) -> str:
    """``Hub._clients (set of 1,204) of the Hub in module app.hub``; or "".

    One that grows has grown since it was looked at: ``(set of at least 1,204, growing)``.
    """
    if keeper is None:
        return ""
    least, more = ("at least ", ", growing") if grows else ("", "")
    more += ", never read" if keeper.unread else ""
    text = f"{keeper.name or 'a container'} ({keeper.type} of {least}{keeper.size:,}{more})"
    owner = keeper.name.partition(".")[0]
    return f"{text} of the {owner} in module {keeper.module}" if keeper.module and keeper.name else text


def keeper_grows(facts: SiteFacts, before: SiteFacts | None) -> bool:
    """Whether the container that keeps the tasks has gained entries."""
    earlier, keeper = before.keeper if before is not None else None, facts.keeper
    return (
        earlier is not None
        and keeper is not None
        and earlier.name == keeper.name
        and earlier.size < keeper.size
    )
