"""Which sites a judge wants facts about, and when.

A question walks the site's tasks in the target, so few are asked at a time, the most telling first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.cohorts import SETTLE
from taskscope.model import requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import SiteFacts

QUESTIONS, IDLE_QUESTIONS = 8, 2
"""Most sites asked about at a time; of those, sites that show no sign of a leak."""

SIGN = 1e6
"""Least priority of a site that shows one."""

ASK_EVERY, SECOND_LOOK, LONG_LIVED_EVERY = 5.0, 3.0, 60.0
"""Seconds between questions about a site; the first two, of one with older tasks; about one that is merely
long-lived."""

CALM = 500
"""Calm sites that are considered at a time; more take turns."""


def as_if_asked(looks: Sequence[SiteFacts]) -> list[SiteFacts]:
    """The newest of these looks at one site, and those before that are at least ``ASK_EVERY`` apart.

    Oldest first.  Little moves in less time.
    """
    chosen: list[SiteFacts] = []
    for each in reversed(looks):
        if not chosen or chosen[-1].monotonic - each.monotonic >= ASK_EVERY:
            chosen.append(each)
    return chosen[::-1]


class Questions:
    """The questions about ``watched``, the sites of one target.  ``since``: when counting began."""

    def __init__(self, watched: Mapping[int, WatchedSite], since: float, long_lived: float) -> None:
        self._watched = watched
        self._since = since
        self._long_lived = long_lived
        self._turn = 0

    def due(self, now: float) -> tuple[requests.Facts, ...]:
        """The facts to fetch now.

        If a site churns, young tasks are left out: they are work in progress and would hide those that stay.
        """
        self._turn += 1
        turns = 1 + len(self._watched) // CALM
        due = [
            (weight, id)
            for id, watched in self._watched.items()
            if not (watched.calm and (id + self._turn) % turns)
            and (weight := self._weight(watched, now)) > 0
            and now - watched.asked >= _every(watched, now)
        ]
        due.sort(reverse=True)
        signs = sum(weight >= SIGN for weight, _ in due)
        chosen = due[: min(QUESTIONS, signs + IDLE_QUESTIONS)]
        return tuple(_question(id, self._watched[id], now) for _, id in chosen)

    def ranked(self, now: float) -> tuple[int, ...]:
        """Sites whose facts are wanted, highest priority first."""
        weighed = ((self._weight(watched, now), id) for id, watched in self._watched.items())
        return tuple(id for weight, id in sorted(weighed, reverse=True) if weight > 0)

    def _weight(self, watched: WatchedSite, now: float) -> float:
        """Priority of fetching this site's facts; 0: none needed."""
        counts = watched.counts
        if watched.wants_keeper(now):
            return SIGN
        if counts.counts.live < 2 and watched.facts is not None:
            return 0.0
        if watched.level.shown != "flat":
            return 1e9 + counts.counts.live
        if watched.wants_older(now) or watched.seen_once:
            return SIGN + counts.adopted
        gained = watched.reading.gained if watched.reading else 0
        if gained >= 2:
            return SIGN + gained
        age = now - counts.oldest if counts.oldest is not None else 0.0
        ended = counts.counts.ended
        life = counts.counts.live / ended * (now - self._since) if ended else 0.0
        unasked = now - watched.asked
        stays = ended and age > max(20.0, 20 * life)
        rests = age > self._long_lived and unasked > LONG_LIVED_EVERY
        return min(unasked, SIGN - 1) if stays or rests else 0.0


def _question(id: int, watched: WatchedSite, now: float) -> requests.Facts:
    watched.asked = now
    counts = watched.counts.counts
    churns = counts.ended > counts.live
    return requests.Facts(id, watched.cohorts.ask(now), now - SETTLE if churns else None)


def _every(watched: WatchedSite, now: float) -> float:
    """Seconds between questions: a twelfth of the span of the cuts.

    Older tasks may have grown in number for long: the second look at them comes soon.
    """
    cuts = watched.cohorts.cuts
    if watched.wants_older(now):
        return 1.0
    if watched.seen_once:
        return SECOND_LOOK
    return max(ASK_EVERY, (now - cuts[0]) / 12) if cuts else 0.0
