"""Why the tasks of a site do not end: patterns looked for in the facts, best evidence first.

A pattern is claimed only on what was seen, and says what that was.  Where none fits, the place where
the tasks are parked is told and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.analysis.explanations import EXPLANATIONS
from taskscope.model import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import ParkedGroup, Site, SiteFacts, WaitObject

MOST = 0.6
"""Part of the tasks looked into that must show a sign for it to be the site's."""

SOME = 0.25
"""Part that cannot be chance."""

SHORT_SLEEP = 20.0
"""Sleepers that wake within these seconds are left to reach their number: they do not pile up far."""

_HOLDERS = ("lock", "semaphore", "condition")


@dataclass(frozen=True, slots=True)
class Clues:
    """Facts with what follows from comparing them with those before.  ``cancelling``: the fewer of both."""

    facts: SiteFacts
    advanced: int
    compared: int
    cancelling: int

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

    def parked(self, *waits: str) -> int:
        return sum(group.live for group in self.facts.groups if group.wait in waits)

    @property
    def stand_still(self) -> bool:
        """Whether most of those seen twice have not moved.  Unknown counts as yes."""
        return self.advanced <= (1 - MOST) * self.compared


def clues(facts: SiteFacts, before: SiteFacts | None) -> Clues:
    """Compares by serial; a task seen once tells nothing."""
    known = {mark.serial: mark.where for mark in before.marks} if before is not None else {}
    both = [mark for mark in facts.marks if mark.serial in known]
    advanced = sum(1 for mark in both if known[mark.serial] != mark.where)
    cancelling = min(facts.cancelling, before.cancelling) if before is not None else 0
    return Clues(facts, advanced, len(both), cancelling)


def explain(site: Site, facts: SiteFacts | None, before: SiteFacts | None) -> Cause | None:
    """The cause, with its evidence; None if nothing was looked into."""
    if facts is None or not facts.sampled:
        return None
    seen = clues(facts, before)
    patterns = _THREAD_PATTERNS if site.kind == "thread" else _TASK_PATTERNS
    found = next((each for pattern in patterns if (each := pattern(seen)) is not None), None)
    name, text = found if found is not None else ("unknown", _known(seen))
    return Cause(name, text, evidence(seen, thread=site.kind == "thread"), EXPLANATIONS.get(name, ""))


def signs(
    cause: Cause | None, facts: SiteFacts | None, before: SiteFacts | None, *, never: bool = False
) -> int:
    """How far the tasks themselves show that they will not end.

    3: beyond doubt; 2: likely; 1: they have ``never`` moved since they are known; 0: nothing is known; -1:
    they look like a pool or like work in progress.
    """
    if cause is None or facts is None:
        return 0
    seen = clues(facts, before)
    known = _SIGNS.get(cause.pattern)
    told = known(seen) if callable(known) else known
    if told is not None:
        return told
    if (seen.compared and not seen.stand_still) or seen.most(facts.awaited):
        return -1
    if any(wait.kind == "queue.get" and seen.most(wait.waiters) for wait in facts.waits):
        return -1  # workers at rest, all at one queue
    return 1 if never and not seen.most(seen.parked("socket")) else 0  # a connection may be idle for long


def evidence(seen: Clues, *, thread: bool = False) -> tuple[str, ...]:
    """Every observation worth a sentence, whatever the pattern."""
    facts, noun = seen.facts, "thread" if thread else "task"
    of = f"of {facts.sampled:,} {noun}s looked into"
    said = []
    if seen.group is not None:
        place = f"parked at {_place(seen.group)}: {seen.group.text}{_left(seen.group)}"
        said.append(f"{seen.group.live:,} {of} are {place}")
    for count, sentence in (
        (facts.orphans, f"were started by a {noun} that has ended"),
        (facts.cancelling, "were asked to end (cancel) and still run"),
        (facts.unheld, "are referenced by nobody but the loop"),
        (facts.awaited, "are awaited by another task"),
        (facts.cycles, "wait, in the end, for themselves"),
    ):
        if count:
            said.append(f"{count:,} {of} {sentence}")
    if not thread and not facts.awaited:
        said.append(f"none {of} is awaited by another task")
    if seen.compared:
        said.append(
            f"{seen.compared - seen.advanced:,} of {seen.compared:,} seen before have not moved since"
        )
    for bound in facts.bound[:1]:
        if bound.runs > 1:
            same = ", with the same arguments" if bound.same_arguments == bound.runs else ""
            said.append(f"{bound.runs:,} run on one {bound.type}{same}")
    said += [_queue_state(wait) for wait in facts.waits[:1] if wait.size is not None]
    return tuple(said)


def _queue_state(queue: WaitObject) -> str:
    bound = f" of {queue.maxsize:,}" if queue.maxsize else ""
    return (
        f"the queue holds {queue.size or 0:,}{bound}; {queue.getters or 0:,} wait to take from it, "
        f"{queue.putters or 0:,} to put into it"
    )


def _place(group: ParkedGroup) -> str:
    name = group.frame.file.rpartition("/")[2]
    return f"{name}:{group.frame.line} in {group.frame.function}"


def _left(group: ParkedGroup) -> str:
    if group.remaining_min is None or group.remaining_max is None:
        return ""
    return f", {group.remaining_min:,.0f} to {group.remaining_max:,.0f} s left"


Named = tuple[str, str]


def _await_cycle(seen: Clues) -> Named | None:
    if not seen.most(seen.facts.cycles):
        return None
    return "await cycle", "tasks wait for each other in a ring"


def _generations(seen: Clues) -> Named | None:
    if seen.cancelling < max(2, seen.facts.sampled / 20):
        return None  # requests under way
    text = (
        f"generations overlap: cancel was asked of {seen.facts.cancelling:,}, they go on, and new ones start"
    )
    return "generations overlap", text


def _handing_over(seen: Clues) -> Named | None:
    if not seen.most(seen.parked("queue.put")):
        return None
    queue = next((wait for wait in seen.facts.waits if wait.kind == "queue.put"), None)
    if queue is not None and queue.getters:
        return None
    full = f" (full at {queue.maxsize:,})" if queue is not None and queue.maxsize else ""
    return "stuck handing over", f"stuck handing over: they wait for room in a queue{full} that nobody reads"


def _sleepers(seen: Clues) -> Named | None:
    facts = seen.facts
    if not seen.most(seen.parked("sleep")) or seen.some(facts.looping) or seen.most(facts.awaited):
        return None
    if not seen.stand_still:
        return None
    kept = ", kept by nobody" if seen.most(facts.unheld) else ""
    return "sleeper per event", f"one sleeper per event: each sleeps once and ends, none is awaited{kept}"


def _collectable(seen: Clues) -> Named | None:
    """Kept by nobody, and waiting for what only they know: a ring that refers to nothing that lives."""
    alone = sum(wait.waiters for wait in seen.facts.waits if wait.outside == 0)
    if (
        not seen.most(seen.facts.unheld)
        or alone < MOST * sum(wait.waiters for wait in seen.facts.waits)
        or not alone
    ):
        return None
    return (
        "left to the collector",
        "they wait for what only they know, and nobody keeps them: the collector takes them",
    )


def _nobody_can_set(seen: Clues) -> Named | None:
    lost = sum(wait.waiters for wait in seen.facts.waits if wait.outside == 0)
    if not lost or not seen.most(seen.parked("event", "future", "queue.get", "condition", "lock")):
        return None
    kinds = {wait.type for wait in seen.facts.waits if wait.outside == 0}
    return "nobody can set it", f"they wait for {_join(kinds)} that nothing else living can reach"


def _orphaned_loops(seen: Clues) -> Named | None:
    if not seen.orphaned or not seen.most(seen.facts.looping):
        return None
    return "orphan", "orphans: what started them has ended, they loop on"


def _started_twice(seen: Clues) -> Named | None:
    facts = seen.facts
    bound = max(facts.bound, key=lambda each: each.same_arguments, default=None)
    if bound is None or bound.same_arguments < 2 or not seen.some(facts.looping):
        return None  # the young of them may not have come to their loop yet
    if seen.most(seen.parked("queue.get")) or seen.most(facts.awaited):
        return None  # workers of one pool, or children of one task
    return "started twice", f"started again: {bound.same_arguments:,} loops on one {bound.type}"


def _nobody_feeds(seen: Clues) -> Named | None:
    queue = next((wait for wait in seen.facts.waits if wait.kind == "queue.get"), None)
    if queue is None or not seen.most(seen.parked("queue.get")) or not seen.stand_still or not seen.compared:
        return None
    if len(seen.facts.waits) < 2 and not seen.orphaned:
        return None  # one queue for all: a pool at rest
    return "nobody feeds it", "each waits for items of a queue that stays empty"


def _blocked(seen: Clues) -> Named | None:
    if not seen.most(seen.parked("executor")):
        return None
    return "blocking call", "they wait for jobs in threads that do not come back"


def _locked(seen: Clues) -> Named | None:
    if not seen.most(seen.parked(*_HOLDERS)) or not seen.stand_still:
        return None
    return "lock not released", "they wait for a lock that is not given back"


def _forgotten(seen: Clues) -> Named | None:
    facts = seen.facts
    if seen.most(facts.awaited) or seen.most(facts.looping) or not (seen.most(facts.unheld) or seen.orphaned):
        return None
    kept = "kept by nobody" if seen.most(facts.unheld) else "left behind by what started them"
    return "fire and forget", f"fire and forget: never awaited, {kept}; {_known(seen)}"


def _orphans(seen: Clues) -> Named | None:
    if not seen.orphaned:
        return None
    return "orphan", f"orphans: what started them has ended; {_known(seen)}"


def _peer(seen: Clues) -> Named | None:
    if not seen.most(seen.parked("socket")) or not seen.stand_still or not seen.compared:
        return None
    return "waits for a peer", f"they wait on sockets where nothing comes; {_known(seen)}"


def _pool_per_call(seen: Clues) -> Named | None:
    pools = len(seen.facts.bound)
    if pools < 2:
        return None
    more = "or more " if pools == 5 else ""
    return "pool per call", f"{pools} {more}executors were made here and never shut down; their workers stay"


def _endless_thread(seen: Clues) -> Named | None:
    group = seen.group
    if group is None or group.wait == "running":
        return None
    return "thread never told to end", f"a thread is started each time and stays; {_known(seen)}"


def _known(seen: Clues) -> str:
    group = seen.group
    if group is None:
        return "where they wait is not known"
    return f"{group.live:,} of {seen.facts.sampled:,} wait at {_place(group)} ({group.text})"


def _join(kinds: set[str]) -> str:
    return " or ".join(f"an {kind}" if kind[:1] in "AEIOU" else f"a {kind}" for kind in sorted(kinds))


_TASK_PATTERNS: tuple[Callable[[Clues], Named | None], ...] = (
    _await_cycle,
    _generations,
    _collectable,
    _handing_over,
    _sleepers,
    _nobody_can_set,
    _orphaned_loops,
    _started_twice,
    _forgotten,
    _nobody_feeds,
    _blocked,
    _locked,
    _orphans,
    _peer,
)
_THREAD_PATTERNS: tuple[Callable[[Clues], Named | None], ...] = (_pool_per_call, _endless_thread)


def _sleeps_long(seen: Clues) -> int:
    left = seen.group.remaining_max if seen.group is not None else None
    return 0 if left is not None and left < SHORT_SLEEP else 2


def _stands_still(seen: Clues) -> int | None:
    return 2 if seen.compared and seen.stand_still else None


def _left_behind(seen: Clues) -> int | None:
    return 2 if seen.orphaned and seen.most(seen.facts.unheld) else None


def _waits_for_a_word(seen: Clues) -> int | None:
    """A thread in an event's wait; one in a socket may be a connection in use."""
    return 2 if seen.group is not None and "event" in seen.group.text else None


_SIGNS: dict[str, int | Callable[[Clues], int | None]] = {
    "await cycle": 3,
    "generations overlap": 3,
    "started twice": 3,
    "stuck handing over": 2,
    "nobody can set it": 2,
    "orphan": 2,
    "pool per call": 2,
    "sleeper per event": _sleeps_long,
    "fire and forget": lambda seen: 2 if seen.stand_still else 0,
    "blocking call": _stands_still,
    "lock not released": _stands_still,
    "nobody feeds it": _left_behind,
    "thread never told to end": _waits_for_a_word,
    "left to the collector": -1,
}
