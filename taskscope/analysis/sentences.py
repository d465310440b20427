"""What is said of a site that grows: how many, how fast, since when, how far, and why it may be no leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.patterns.conclusive import SLEEPER_PER_EVENT
from taskscope.model import SOONEST
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskscope.analysis.growth import Growth
    from taskscope.analysis.verdict import Verdict
    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import Cause, SiteFacts
    from taskscope.model.vocabulary import Level, VerdictReason

STEADY = 0.5
"""Widest interval, as a share of the rate, that counts as steady."""

SOON = 5.0
"""Seconds: if the first wake up within so many, growth is about to show itself where it ends."""

_DOUBTS: Mapping[VerdictReason, str] = {
    "only one step so far": "it has grown in one step only",
    "too early": "it has not grown often enough yet",
    "slows down": "its growth slows down",
    "none ends": "none has ended yet, so that their lifetime is unknown",
    "some end": "some end, perhaps as many as will come",
    "in use": "they are in use",
    "below its earlier peak": "there have been more of them before",
}


def sentence(level: Level, verdict: Verdict, reading: Growth, watched: WatchedSite) -> str:
    """``17 live, steadily +20/min; 24 born and 7 ended in 50 s``."""
    before = reading.live - reading.born + reading.ended
    live, proven = watched.counts.counts.live, stuck(watched.facts)
    speed = pace(verdict, reading)
    if verdict.why == "stuck":
        proof = f"nothing can wake {'them' if proven == live else f'at least {proven:,}'}"
        speed = f"{proof}, {speed}" if reading.gained else f"{proof}, not growing"
    text = f"{live:,} live, {speed}"
    if watched.past is not None:
        text += f", {watched.past.count:,} from before the agent"
    text += f"; {reading.born:,} born and {reading.ended:,} ended in {wording.seconds(reading.window)}"
    text += ", partly estimated" if watched.past is not None and reading.begun < watched.past.since else ""
    text += f", {before:,} at the start" if before > 0 else ""
    return f"{text}; {_open(verdict)}" if level == "suspect" else text


def _open(verdict: Verdict) -> str:
    """Why it is only a suspect."""
    if verdict.level == "leak":
        return "a leak if it goes on"
    if verdict.until:
        return f"verdict in {wording.seconds(max(SOONEST, verdict.until))}"
    return f"only a suspect: {_DOUBTS.get(verdict.why, verdict.why)}"


def pace(verdict: Verdict, reading: Growth) -> str:
    """``steadily`` if the interval is narrow.  One that prints like the rate is omitted, and one that is wide
    because the growth comes in a few steps: their size says more.
    """
    rate, low, high = (wording.per_minute(each) for each in (verdict.rate, verdict.low, verdict.high))
    steady = verdict.high - verdict.low <= STEADY * verdict.rate
    interval = "" if low == rate == high else f" ({low.removesuffix('/min')} to {high})"
    if reading.steps and not steady:
        return f"in {reading.rises:,} steps of about {reading.gained / reading.rises:,.0f}, {rate}"
    shape = "in steps " if reading.steps else "steadily " if steady else ""
    return f"{shape}{rate}{interval}"


def stuck(facts: SiteFacts | None) -> int:
    """How many tasks are proven to be beyond waking."""
    return facts.reach.stuck if facts is not None and facts.reach is not None else 0


@dataclass(frozen=True, slots=True)
class Levelling:
    """Growth that ends by itself ``seconds`` from now, near ``live``."""

    live: float
    seconds: float

    @property
    def text(self) -> str:
        """``heads for about 30,000: the first wake up in 4 min``."""
        about = f"{float(f'{self.live:.2g}'):,.0f}"
        return f"heads for about {about}: the first wake up in {wording.seconds(self.seconds)}"

    @property
    def evidence(self) -> dict[str, object]:
        return {"levels_off_at": round(self.live), "levels_off_in": round(self.seconds, 1)}


def levelling(facts: SiteFacts | None, cause: Cause | None, rate: float) -> Levelling | None:
    """Of tasks that each sleep once: rate times sleep, when the first wake up; None where that is unknown."""
    group = facts.groups[0] if facts is not None and facts.groups else None
    if group is None or cause is None or cause.pattern != SLEEPER_PER_EVENT.name:
        return None
    if group.wait != "sleep" or group.remaining_min is None or group.remaining_max is None:
        return None
    if group.remaining_min < SOON:
        return None
    live = rate * group.remaining_max / 60
    return Levelling(live, group.remaining_min) if facts is not None and live > facts.live else None
