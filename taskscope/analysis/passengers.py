"""What grows only because something else does: one finding, not several.

Ended tasks may stay because tasks that leak keep what they belong to.  And each connection, say, may have
several tasks: if none of these is a leak, one suspect stands for all.  If one call starts one each of
what leaks, the second names the first: each tells a part of what is most likely one fault.  Tasks that wait
for what leaking threads should do come after these.  Where those of several wait at one line, each says so.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis import patterns
from taskscope.analysis.likeness import moves_together, moving
from taskscope.analysis.resources import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from taskscope.analysis.likeness import Moving
    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import Finding, Frame

PAIRED = 0.05
"""Largest difference, as a share, between the gains of two sites that have one task each per connection."""


def without_passengers(
    found: Sequence[Finding], watched: Mapping[int, WatchedSite], now: float
) -> list[Finding]:
    """The findings, strongest first, of which those on passengers are notes.

    Passengers are kept within other objects, and their number grows in step with the live tasks of a leak.
    """
    leaks = [each for each in found if each.level == "leak" and not _of_ended(each)]
    noted = [_noted(each, leaks, watched, now) for each in found] if leaks else list(found)
    told = list(_one_for_all(noted, watched, now))
    roots = _roots(told, watched)
    behind: dict[int, list[Finding]] = defaultdict(list)
    for each in told:
        if each.id in roots:
            behind[roots[each.id].id].append(_following(each, roots[each.id]))
    others = _named_together([each for each in told if each.id not in roots], watched, now)
    return list(_meeting([one for each in others for one in (each, *behind.get(each.id, ()))]))


def _meeting(found: Sequence[Finding]) -> Iterator[Finding]:
    """The findings, of which those whose tasks wait at one line of the program name each other."""
    at: dict[Frame, list[Finding]] = defaultdict(list)
    for each in found:
        line = each.cause.waits_at if each.cause is not None and each.level != "info" else None
        if line is not None and line.origin == "user":
            at[line].append(each)
    pairs = ((line, each, other) for line, some in at.items() for each in some for other in some)
    also = {each.id: (line, other) for line, each, other in pairs if each != other}
    for each in found:
        if each.id in also and each.cause is not None:
            line, other = also[each.id]
            those = f"the tasks of the {other.level} at {wording.place(other)}"
            said = f"{those} wait at {wording.frame(line)} as well"
            yield replace(each, cause=replace(each.cause, evidence=(said, *each.cause.evidence)))
        else:
            yield each


def _roots(found: Sequence[Finding], watched: Mapping[int, WatchedSite]) -> dict[int, Finding]:
    """The findings on threads for which tasks of others wait, by the sites of these."""
    serious = [each for each in found if each.level != "info" and not _of_ended(each)]
    threads = {each.site: each for each in serious if each.kind == "thread"}
    setters = {each.id: facts.setter for each in serious if (facts := watched[each.id].facts) is not None}
    return {id: threads[line] for id, line in setters.items() if line in threads}


def _following(finding: Finding, root: Finding) -> Finding:
    text = f"{finding.text}; follows from the {root.level} at {wording.place(root)}"
    return replace(finding, text=text)


def _one_for_all(
    found: Sequence[Finding], watched: Mapping[int, WatchedSite], now: float
) -> Iterator[Finding]:
    """The findings, of which suspects that grow in step with an earlier one, task by task, are notes."""
    first: list[tuple[Finding, Moving]] = []
    for each in found:
        if each.level != "suspect" or _of_ended(each):
            yield each
            continue
        own = moving(watched[each.id].whole.bins(now))
        like = next((other for other, its in first if _are_pairs(own, its)), None)
        if like is None:
            first.append((each, own))
            yield each
        else:
            with_it = f"{each.text}, in step with the suspect at {wording.place(like)}"
            yield replace(each, level="info", text=with_it, until_told=None)


def _named_together(
    found: Iterable[Finding], watched: Mapping[int, WatchedSite], now: float
) -> Iterator[Finding]:
    """The findings, of which those that grow in step with an earlier leak of the same call say so."""
    leaks: dict[tuple[str, str], Finding] = {}
    for each in found:
        call = each.site.file, each.site.function
        leak = leaks.get(call)
        if each.level == "info" or _of_ended(each):
            yield each
        elif leak is not None and _are_pairs(
            *(moving(watched[of.id].whole.bins(now)) for of in (each, leak))
        ):
            with_it = f"{each.text}, in step with the leak at {wording.place(leak)}, most likely one fault"
            yield replace(each, text=with_it)
        else:
            if each.level == "leak":
                leaks.setdefault(call, each)
            yield each


def _are_pairs(one: Moving, other: Moving) -> bool:
    likeness, ratio = moves_together(one, other)
    return likeness >= TOGETHER and abs(ratio - 1) <= PAIRED


def _of_ended(finding: Finding) -> bool:
    return finding.cause is not None and finding.cause.pattern == patterns.OF_ENDED.name


def _noted(
    finding: Finding, leaks: Sequence[Finding], watched: Mapping[int, WatchedSite], now: float
) -> Finding:
    facts = watched[finding.id].facts
    if not _of_ended(finding) or facts is None or facts.keeper is None or not facts.keeper.entry:
        return finding
    own = moving(watched[finding.id].kept.whole.bins(now))
    for leak in leaks:
        if moves_together(own, moving(watched[leak.id].whole.bins(now)))[0] >= TOGETHER:
            with_it = f"{finding.text}, in step with the leak at {wording.place(leak)}"
            return replace(finding, level="info", text=with_it, until_told=None)
    return finding
