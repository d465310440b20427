"""When something began does not depend on who looks, nor on when they started."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, History, Loop, SiteCounts, SiteHistory
from tests.unit.shapes import Lives, arrivals, hello, pool, samples, site, steady, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.model import Finding, Sample
    from tests.unit.shapes import Life


def watched(lives: Sequence[Life], seconds: float, start: float = 0.0) -> tuple[list[Sample], list[Finding]]:
    """The samples of one site, and what a judge that saw them all said each half a minute."""
    site_lives, judge = Lives(lives), Judge(hello(start))
    seen, said = [], []
    for sample in samples([site_lives], start, seconds):
        seen.append(sample)
        judge.feed(sample)
        for asked in judge.questions():
            judge.facts(site_lives.facts(asked.site, judge.now, asked.cuts))
        if sample.seq % 20 == 0 and (found := judge.findings()):
            said.append(found[0])
    return seen, said


def late(seen: Sequence[Sample], start: float = 0.0) -> Finding:
    """What a judge says that comes only now and knows the agent's history."""
    changed = [sample for sample in seen if sample.sites]
    times = tuple(sample.monotonic for sample in changed)
    totals = [sample.sites[0].counts for sample in changed]
    past = SiteHistory(
        0,
        times,
        tuple(each.live for each in totals),
        tuple(each.born for each in totals),
        tuple(each.ended for each in totals),
    )
    judge = Judge(hello(start))
    whole = replace(seen[-1], full=True, new_sites=(site(0),), sites=changed[-1].sites)
    judge.past((past,), None, whole)
    judge.feed(whole)
    (finding,) = judge.findings()
    return finding


LEAKS: dict[str, tuple[Callable[[], Sequence[Life]], float, float]] = {
    "each second, after a quarter of an hour": (lambda: steady(1, 1300, start=900), 1300, 900),
    "after a minute": (lambda: steady(2, 700, start=60), 700, 60),
    "at random": (lambda: [(100 + at, None) for at in arrivals(random.Random(3), 1 / 3, 700)], 700, 102),
    "in steps": (lambda: steps(8, 14, 700), 700, 7),
}


@pytest.mark.parametrize("name", LEAKS)
def test_since_is_the_beginning_of_the_growth_and_stays_there(name: str) -> None:
    make, seconds, begun = LEAKS[name]
    seen, said = watched(make(), seconds)
    leaks = [finding for finding in said if finding.level == "leak"]
    assert len(leaks) >= 10
    wide = seconds / 75  # two bins
    assert all(finding.since == pytest.approx(begun, abs=wide) for finding in leaks)
    assert not any(finding.since_at_least for finding in leaks)
    assert late(seen).since == pytest.approx(leaks[-1].since, abs=wide)


def test_a_site_that_grows_when_the_agent_starts_has_grown_for_at_least_as_long() -> None:
    start = 5000.0
    seen, said = watched(steady(1, start + 200, start=start), 200, start)
    assert (said[-1].level, said[-1].since_at_least, late(seen, start).since_at_least) == ("leak", True, True)
    assert said[-1].since == pytest.approx(start, abs=3)


def test_an_agent_that_was_there_from_the_first_line_knows_the_beginning() -> None:
    _, said = watched(steady(1, 200), 200)
    assert (said[-1].level, said[-1].since_at_least) == ("leak", False)
    assert said[-1].since_wall == pytest.approx(1000 + said[-1].since)


def test_a_leak_that_pauses_for_long_began_anew() -> None:
    lives = steady(1, 100) + steady(1, 1300, start=1000)
    _, said = watched(lives, 1250)
    assert said[-1].level == "leak"
    assert said[-1].since == pytest.approx(1000, abs=20)


def test_a_pool_is_no_growth_and_a_leak_on_top_began_after_it() -> None:
    _, said = watched(pool(200) + steady(0.5, 400, start=30), 300)
    assert said[-1].level == "leak"
    assert said[-1].since == pytest.approx(30, abs=6)


@pytest.mark.parametrize("known", [True, False])
def test_loops_are_slow_since_their_history_says_so(known: bool) -> None:
    judge = Judge(hello())
    times = tuple(float(second) for second in range(0, 600, 10))
    latency = tuple(0.4 if second >= 300 or not known else 0.001 for second in times)
    unknown = (None,) * len(times)
    past = History(times, unknown, unknown, unknown, unknown, unknown, unknown, unknown, latency)
    judge.past((), past)
    (sample,) = samples([Lives([])], 600, 0)
    judge.feed(replace(sample, loop_latency=0.4))
    judge.note([], [], [Loop(1, "Loop", 7, True, False, 9, 300, 0, 0.12, 0.4, 0.5, "")])
    (finding,) = judge.findings()
    assert (finding.since, finding.since_at_least) == ((300.0, False) if known else (0.0, False))


def test_a_sentence_adds_up_and_calls_steady_only_what_is() -> None:
    judge = Judge(hello())
    found: tuple[Finding, ...] = ()
    for tick in range(61):
        counts = SiteCounts(0, Counts(tick + 12, tick + 12))
        judge.feed(replace(next(samples([Lives([])], float(tick), 0)), new_sites=(site(0),), sites=(counts,)))
        found = judge.findings()
    assert found[0].text.startswith(
        "72 live, steadily +60/min; 60 born and 0 ended in 60 s, 12 at the start"
    ), found[0].text
    dice = random.Random(5)
    _, said = watched([(at, None) for at in arrivals(dice, 0.15, 130)], 120)
    assert "steadily" not in said[-1].text, said[-1].text
