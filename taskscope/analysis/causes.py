"""Why the tasks of a site do not end, and how strongly that shows they never will.

A pattern is named only on observed evidence, which it states.  If none matches, only the place where the
tasks are parked is reported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis import patterns
from taskscope.analysis.clues import clues
from taskscope.analysis.patterns.pattern import parked_at, where_they_wait
from taskscope.analysis.strength import Strength
from taskscope.model import MOST_BOUND, Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.analysis.clues import Clues
    from taskscope.analysis.patterns.pattern import SitePattern
    from taskscope.model import Counts, Descriptor, Frame, ParkedGroup, Reach, Site, SiteFacts, WaitObject
    from taskscope.model.vocabulary import Wait

_GIVEN: tuple[Wait, ...] = ("socket", "queue.get")
"""Waits that somebody ends who wants something done."""

_OTHERS: tuple[Wait, ...] = ("socket", "subprocess", "dns", "server", "task", "gather")
"""Waits in which lack of movement proves nothing: connections may idle for long, and a task that awaits
another moves when that one does."""


_UNHELD = "is referenced only by what it waits for", "are referenced only by what they wait for"
_DROPPED = "is referenced by no other code", "are referenced by no other code"

SHOWN_ON = 2
"""Descriptors given as evidence."""


def explain(
    site: Site,
    facts: SiteFacts | None,
    before: SiteFacts | None,
    *,
    workers: bool = False,
    never: bool = False,
    used: bool = False,
    some: bool = False,
    comes: bool = False,
    counts: Counts | None = None,
) -> tuple[Cause | None, Strength]:
    """The cause, with its evidence, and how strong that is; None if nothing was sampled.

    ``workers``, ``comes`` and ``counts``: see ``Clues``.  ``never``, ``used`` and ``some``: see ``Moves``.
    """
    if facts is None or not facts.sampled:
        return None, Strength.NONE
    seen = clues(site, facts, before, workers=workers, comes=comes, counts=counts)
    of_threads = site.kind == "thread"
    observed = evidence(seen, thread=of_threads)
    cause, pattern = Cause("unknown", where_they_wait(seen), observed), None
    for each in patterns.OF_THREADS if of_threads else patterns.OF_TASKS:
        if (text := each.check(seen)) is not None:
            cause = each.cause(text, observed) if pattern is None else cause
            pattern = each
            if not each.only_names:
                break
    proof, held = "; ".join(_proofs(facts.reach)), _held(seen)
    cause = replace(cause, proof=proof, held=held, waits_at=_waits_at(cause, seen))
    return cause, _strength(pattern, seen, never=never, used=used, some=some)


def _strength(pattern: SitePattern | None, seen: Clues, *, never: bool, used: bool, some: bool) -> Strength:
    if seen.proven:
        return Strength.PROVEN
    shown = pattern.strength_of(seen) if pattern is not None else None
    served = seen.parked(*_GIVEN) + seen.facts.sharing
    if used and seen.most(served) and shown in (None, Strength.UNLIKELY, Strength.NONE):
        return Strength.IN_USE
    if shown is not None:
        return shown
    if _abandoned(seen, never=never):
        return Strength.PERMANENT
    given = some and seen.most(seen.parked(*_GIVEN))  # others of them may idle for long
    if given or seen.most(seen.parked("socket")):
        return Strength.OPEN_ENDED
    if seen.compared and not seen.stand_still:
        return Strength.UNLIKELY
    if seen.at_rest or (seen.most(seen.facts.awaited) and not seen.apart):
        return Strength.UNLIKELY
    if seen.timed:
        return Strength.OPEN_ENDED
    if seen.comes or not never or seen.most(seen.parked(*_OTHERS)):
        return Strength.NONE
    return Strength.PERMANENT


def _abandoned(seen: Clues, *, never: bool) -> bool:
    """Whether they are kept where the program never looks: nobody ends them or takes them out.

    Loops that may end by themselves stay in there as well.  Whoever accepts connections may keep them for as
    long as the others want; those that the program has opened itself it would have to close.
    """
    if not seen.unread or seen.turns_over:
        return False
    if seen.most(seen.parked(*_OTHERS, *_GIVEN)):
        return never and seen.outgoing
    idle = seen.compared > 0 and seen.stand_still and not (seen.timed or seen.comes)
    return idle or seen.most(seen.facts.looping)


def evidence(seen: Clues, *, thread: bool = False) -> tuple[str, ...]:
    """Every observation worth a sentence, independent of the pattern."""
    facts, noun = seen.facts, "thread" if thread else "task"
    lines = list(_shared(seen))
    if seen.group is not None:
        place = f"parked at {parked_at(seen.group)}: {seen.group.text}{_left(seen.group)}"
        lines.append(_of(seen.group.live, seen, noun, f"is {place}", f"are {place}"))
    for count, one, many in (
        (
            facts.orphans,
            f"was created by a {noun} that has ended",
            f"were created by a {noun} that has ended",
        ),
        (
            facts.cancelling,
            "was cancelled and still runs",
            "were cancelled and still run",
        ),
        (
            facts.left,
            "was left running by a wait or gather that has returned",
            "were left running by a wait or gather that has returned",
        ),
        (facts.unheld, *(_DROPPED if thread else _UNHELD)),
        (facts.awaited, "is awaited by another task", "are awaited by other tasks"),
        (facts.cycles, "is part of an await cycle", "are part of an await cycle"),
    ):
        if count:
            lines.append(_of(count, seen, noun, one, many))
    if not thread and not facts.awaited:
        lines.append("none of them is awaited")
    if facts.closed:
        lines.append(_of(facts.closed, seen, noun, "reads from a closed socket", "read from a closed socket"))
    if seen.compared:
        lines.append(_moved(seen))
    if facts.reach is not None and facts.reach.by:
        lines.append(f"may be woken through {', '.join(facts.reach.by)}")
    lines += [f"one waits on {_waited_on(on, seen)}" for on in facts.descriptors[:SHOWN_ON]]
    lines += [_queue_state(facts, wait) for wait in facts.waits[:1] if wait.size is not None]
    return tuple(lines)


def _waited_on(on: Descriptor, seen: Clues) -> str:
    """That nothing is left to read says nothing of those that have read what came."""
    return (replace(on, unread=None) if seen.advanced and not on.unread else on).text


def _shared(seen: Clues) -> Iterator[str]:
    """Whose methods they run."""
    facts = seen.facts
    for bound in facts.bound[:1]:
        same = ", with the same arguments" if bound.same_arguments == bound.runs else ""
        if bound.runs > 1 and facts.owners > 1:
            some = facts.live > MOST_BOUND
            known = f"the oldest {MOST_BOUND:,}" if some else f"{facts.live:,}"
            most = f"up to {bound.runs:,} {'of these ' if some else ''}on one"
            yield f"{known} run on {facts.owners:,} {bound.type}s, {most}{same}"
        elif bound.runs > 1:
            least = "at least " if facts.live > MOST_BOUND else ""
            yield f"{least}{bound.runs:,} share one {bound.type}{same}"


def _of(count: int, seen: Clues, noun: str, one: str, many: str) -> str:
    """``all 40 tasks are …``; ``1 of 200 tasks looked at is …`` if there are more; ``count`` is not 0."""
    sampled = seen.facts.sampled
    looked_at = " looked at" if seen.facts.live > sampled else ""
    if sampled == 1:
        return f"the only {noun}{looked_at} {one}"
    share = f"all {sampled:,}" if count == sampled else f"{count:,} of {sampled:,}"
    return f"{share} {noun}s{looked_at} {one if count == 1 else many}"


def _moved(seen: Clues) -> str:
    compared, advanced = seen.compared, seen.advanced
    again = f"looked at again after {wording.seconds(seen.between)}"
    asleep = ": their sleep is longer" if seen.most(seen.parked("sleep")) else ""
    if compared == 1:
        return f"the only one {again} {'has moved' if advanced else 'has not moved'}"
    if not advanced:
        return f"none of {compared:,} {again} has moved{asleep}"
    if advanced == compared:
        comes = ": something still comes" if seen.most(seen.parked("socket")) else ""
        return f"all {compared:,} {again} have moved{comes}"
    return f"{advanced:,} of {compared:,} {again} {'has' if advanced == 1 else 'have'} moved"


def _waits_at(cause: Cause, seen: Clues) -> Frame | None:
    """Where the holder of their lock waits, else most of those that were cancelled or orphaned, else most."""
    if cause.pattern == patterns.BEHIND_A_LOCK.name and seen.facts.holder is not None:
        return seen.facts.holder.frame
    groups = sorted(seen.facts.groups, key=lambda each: (each.cancelling, each.orphans, each.live))
    return groups[-1].frame if groups else None


def _held(seen: Clues) -> str:
    what = "what they wait for is " if seen.most(seen.facts.unheld) else ""
    return f"{what}held by {seen.kept_by}" if seen.kept_by else ""


def _proofs(reach: Reach | None) -> Iterator[str]:
    """What a walk over references has proven."""
    if reach is None or not reach.asked:
        return
    for count, one, many in (
        (reach.stuck, "is stuck: nothing can wake it", "are stuck: nothing can wake them"),
        (
            reach.lost,
            "will be destroyed: nothing can wake or keeps it",
            "will be destroyed: nothing can wake or keeps them",
        ),
        (
            reach.endless,
            "waits until cancelled: nothing was meant to wake it",
            "wait until cancelled: nothing was meant to wake them",
        ),
    ):
        if count:
            share = f"all {count:,}" if count == reach.asked > 1 else f"{count:,} of {reach.asked:,}"
            yield f"{share} traced {one if count == 1 else many}"


def _queue_state(facts: SiteFacts, queue: WaitObject) -> str:
    bound = f" of {queue.maxsize:,}" if queue.maxsize else ""
    getters, putters = (
        wording.plural(queue.getters or 0, "getter"),
        wording.plural(queue.putters or 0, "putter"),
    )
    which = f"they wait on {facts.things:,} queues, of which one" if facts.things > 1 else "the queue"
    return f"{which} holds {queue.size or 0:,}{bound}; {getters} and {putters} waiting"


def _left(group: ParkedGroup) -> str:
    if group.remaining_min is None or group.remaining_max is None:
        return ""
    return f", {group.remaining_min:,.0f} to {group.remaining_max:,.0f} s left"
