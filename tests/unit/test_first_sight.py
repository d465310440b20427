"""The verdict on a service that had run for minutes before the agent, from its tasks that still live."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import pytest

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, Mark, Older, Sample, SiteCounts, SiteFacts
from taskscope.text import since
from tests.unit.shapes import arrivals, churn, daily, hello, pool, ramp, sawtooth, site, steady, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.model import Finding
    from tests.unit.shapes import Life

CAME = 300.0
"""Seconds after the start of the process at which the agent comes."""


Known = Literal["births", "numbers", "nothing"]
KNOWN: tuple[Known, ...] = get_args(Known)


class Late:
    """Tasks of one site as an agent tells of them that came late.

    All are orphaned loops: nothing but their births and ends tells who stays.  ``known``: of the older ones,
    births, or the numbers that asyncio gave (``others`` a second are given to others), or nothing.
    ``adopting``: for so many seconds the older ones are being registered, oldest first.  ``burst``: so many
    others were started in the first two seconds.
    """

    def __init__(
        self, lives: Sequence[Life], *, known: Known = "births", others: float = 1.0, adopting: float = 0.0
    ) -> None:
        self.lives = sorted(life for life in lives if life[1] is None or life[1] > CAME)
        self.known = known
        self.others = others
        self.adopting = adopting
        self.burst = 0
        self.cancelled = 0.0
        self.all = sorted(birth for birth, _ in lives)

    def known_at(self, now: float) -> list[Life]:
        """Those that the agent has registered by then."""
        older = bisect_right([birth for birth, _ in self.lives], CAME)
        here = older if now - CAME >= self.adopting else int(older * (now - CAME) / self.adopting)
        return [*self.lives[:here], *self.lives[older:]]

    def living(self, now: float) -> list[float]:
        known = self.known_at(now)
        return [birth for birth, end in known if birth <= now and (end is None or end > now)]

    def counts(self, now: float) -> SiteCounts:
        births = [birth for birth, _ in self.known_at(now)]
        born, living = bisect_right(births, now), self.living(now)
        oldest = living[0] if living and self.known == "births" else None
        adopted = bisect_right(births, CAME)
        return SiteCounts(0, Counts(len(living), born, born - len(living)), oldest, None, adopted)

    def number(self, birth: float) -> int:
        return 1 + bisect_left(self.all, birth) + int(self.others * birth + self.burst * min(1.0, birth / 2))

    def facts(self, now: float, cuts: Sequence[float]) -> SiteFacts:
        living = self.living(now)
        older = [birth for birth in living if birth <= CAME]
        told_of = [older[round(at * (len(older) - 1) / 59)] for at in range(60)] if older else []
        births = tuple(birth if self.known == "births" else None for birth in told_of)
        numbers = tuple(self.number(birth) if self.known != "nothing" else None for birth in told_of)
        alive = tuple(bisect_right(living, cut) for cut in cuts)
        counter = self.number(CAME) if self.known != "nothing" else 0
        told = Older(len(older), births, numbers, counter) if older else None
        many = len(living)
        return SiteFacts(
            0, now, many, alive, many, many, cancelling=round(self.cancelled * many), looping=many,
            cuts=tuple(cuts), older=told,
        )  # fmt: skip


def said_of(lives: Sequence[Life], seconds: int, known: Known = "births") -> list[Finding | None]:
    """What is found on this site, second by second after the agent came."""
    return told_of(Late(lives, known=known), seconds)


def told_of(late: Late, seconds: int) -> list[Finding | None]:
    judge = Judge(hello(CAME))
    said: list[Finding | None] = []
    for tick in range(seconds + 1):
        now = CAME + tick
        counts = late.counts(now)
        started = counts.counts.born + int(late.others * tick)
        total = Counts(counts.counts.live, started, counts.counts.ended)
        new = (site(0),) if tick == 0 else ()
        judge.feed(
            Sample(tick, now, 1000.0 + now, 1.0, total, 1, 10, 1 << 20, 0.1, 0.001, 0.0, 1 << 20,
                   tick == 0, new, (counts,), arriving=tick < late.adopting)
        )  # fmt: skip
        for asked in judge.questions():
            judge.facts(late.facts(judge.now, asked.cuts))
        said.append(next((each for each in judge.findings() if each.level != "info"), None))
    return said


LEAKS: dict[str, Callable[[], Sequence[Life]]] = {
    "steadily": lambda: steady(1, 400),
    "fast": lambda: steady(20, 400),
    "at random": lambda: [(at, None) for at in arrivals(random.Random(3), 1 / 2, 400)],
    "in steps": lambda: steps(20, 15, 400),
    "after a start-up": lambda: pool(30) + steady(1, 400, start=20),
}


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        *itertools.product(LEAKS, ("births", "numbers")),
        *itertools.product(("steadily", "fast", "after a start-up"), ("nothing",)),  # only an even rate tells
    ],
)
def test_a_leak_is_found_within_ten_seconds_with_its_start(shape: str, known: Known) -> None:
    lives = LEAKS[shape]()
    told = said_of(lives, {"births": 12, "numbers": 20, "nothing": 30}[known], known)[-1]
    assert told is not None
    assert (told.level, told.since_at_least, told.since_estimated) == ("leak", False, True), told.text
    begun = 20.0 if "start-up" in shape else 0.0
    assert told.since == pytest.approx(begun, abs=0.1 * CAME)
    assert "from before the agent" in told.text
    assert "partly estimated" in told.text


def test_the_second_look_at_older_tasks_comes_soon() -> None:
    """Only then it shows who was cancelled and runs on."""
    late = Late(steady(1, 400))
    late.cancelled = 0.5
    told = told_of(late, 4)[-1]
    assert told is not None
    assert told.level == "leak"
    assert told.cause is not None
    assert told.cause.pattern == "generations overlap"


def test_others_that_were_started_with_the_service_do_not_move_the_start_of_growth() -> None:
    late = Late(
        [(at / 100, None) for at in range(170)] + steady(0.6, 400, start=2), known="numbers", others=4.0
    )
    late.burst, late.cancelled = 170, 0.5
    told = told_of(late, 8)[-1]
    assert told is not None
    assert told.level == "leak"
    assert told.since == pytest.approx(2, abs=15)  # 37 s late if the start-up is timed by those others


def test_older_tasks_are_judged_with_the_sample_after_the_last_that_registers_some() -> None:
    said = told_of(Late(steady(1, 400), adopting=0.9), 5)
    assert said[5] is not None
    assert said[5].level == "leak"


def test_thousands_of_older_tasks_are_judged_when_the_last_is_registered() -> None:
    late = Late(steps(1600, 15, 400), known="numbers", adopting=6.4)
    late.cancelled = 0.5
    said = told_of(late, 7)
    assert [each for each in said[:7] if each is not None and each.level == "leak"] == []
    assert said[7] is not None
    assert said[7].level == "leak"
    assert not said[7].since_at_least


@pytest.mark.parametrize("known", KNOWN)
def test_a_leak_among_many_that_end_is_told_by_those_that_had_stayed(known: Known) -> None:
    """The count sways, and those born since the agent came are too young to tell."""
    lives = steady(0.5, 400) + [(birth, birth + 2) for birth, _ in steady(1.4, 400)]
    told = said_of(lives, 40, known)[-1]
    assert told is not None
    assert told.level == "leak", told.text
    assert told.rate_per_min == pytest.approx(30, rel=0.2)


def test_one_in_three_that_stays_is_told_by_those_that_had_settled() -> None:
    """Most older tasks end soon after the agent came: only those left show that they do not."""
    dice = random.Random(4)
    births = arrivals(dice, 1.2, 400)
    lives = [(birth, None if at % 3 == 0 else birth + dice.uniform(5, 12)) for at, birth in enumerate(births)]
    told = told_of(Late(lives, known="numbers"), 44)[-1]
    assert told is not None
    assert told.level == "leak", told.text
    assert told.evidence["past"] == "numbers of tasks"
    assert told.rate_per_min == pytest.approx(24, rel=0.25)
    assert told.since == pytest.approx(0, abs=0.1 * CAME)


HEALTHY: dict[str, Callable[[], Sequence[Life]]] = {
    "a pool": lambda: pool(50),
    "short requests": lambda: churn(20, 2, 500),
    "connections of a minute": lambda: churn(3, 60, 500),
    "connections of two minutes": lambda: churn(1, 120, 500),
    "connections of five minutes": lambda: churn(1, 300, 500),
    "few connections": lambda: churn(0.2, 60, 500),
    "lives of just a minute": lambda: steady(1, 500, life=60),
    "lives of just four minutes": lambda: steady(0.5, 500, life=240),
    "load that rises": lambda: daily(0.1, 5, 60, 700, 500),
    "bursts that drain": lambda: sawtooth(40, 30, 15, 500),
    "batches": lambda: ramp(60, 100, 90, 500),
    "a pool filled slowly, and requests": lambda: steady(0.5, 120) + churn(2, 8, 500),
    "a pool and requests": lambda: pool(10) + churn(2, 20, 500),
    "opened when first asked for": lambda: [(2 * 1.35**at, None) for at in range(17)],
    "lives as long as the process": lambda: churn(0.5, 250, 500),
}


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("shape", HEALTHY)
def test_a_healthy_service_is_not_called_a_leak_at_first_sight(shape: str, known: Known) -> None:
    said = said_of(HEALTHY[shape](), 40, known)
    assert not any(each is not None and each.level == "leak" for each in said)


def test_an_age_from_before_the_agent_is_an_estimate() -> None:
    sample = Sample(1, 400.0, 1400.0, 1.0, Counts(), 1, 9, 9, 0.1, 0.0, 0.0, 9, True, (site(0),))
    judge = Judge(hello(CAME))
    judge.feed(replace(sample, sites=(Late(pool(50)).counts(400.0),)))
    (told,) = judge.findings()
    assert (told.level, told.since_estimated) == ("info", True)
    assert ", oldest ~" in told.text
    assert since(told, sample).startswith("~")


def test_tasks_in_use_are_not_judged_by_their_past() -> None:
    """Connections that come all morning and stay show births like those of a leak."""
    late = Late(steady(1, 400))
    judge = Judge(hello(CAME))
    judge.learn([site(0)])
    for tick in range(30):
        now = CAME + tick
        total = late.counts(now)
        judge.feed(
            Sample(tick, now, 1.0, 1.0, total.counts, 1, 9, 9, 0.1, 0.0, 0.0, 9, tick == 0, (), (total,))
        )
        facts = late.facts(now, ())
        judge.facts(replace(facts, orphans=0, looping=0, awaited=facts.live))
        assert all(each.level != "leak" for each in judge.findings())


@pytest.mark.parametrize(("looks", "leak"), [((0, 3), False), ((0, 3, 20), True)])
def test_that_none_is_in_use_shows_only_between_looks(looks: tuple[int, ...], leak: bool) -> None:
    """A busy target may answer late: until it has, nothing is known of those that it had not told of."""
    late = Late(steady(1, 400))
    judge = Judge(hello(CAME))
    judge.learn([site(0)])
    shown = set()
    for tick in range(30):
        now = CAME + tick
        total = late.counts(now)
        judge.feed(
            Sample(tick, now, 1.0, 1.0, total.counts, 1, 9, 9, 0.1, 0.0, 0.0, 9, tick == 0, (), (total,))
        )
        if tick in looks:
            marks = tuple(Mark(serial, serial) for serial in range(late.counts(now).counts.live))
            judge.facts(replace(late.facts(now, ()), orphans=0, looping=0, marks=marks))
        shown |= {each.level for each in judge.findings()}
    assert ("leak" in shown) == leak
