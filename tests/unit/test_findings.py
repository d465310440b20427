"""Leaking services get a finding and healthy ones none, on generated histories of both."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, Sample, SiteCounts, SiteHistory
from tests.unit.shapes import (
    Lives,
    arrivals,
    churn,
    daily,
    hello,
    pool,
    ramp,
    samples,
    sawtooth,
    site,
    steady,
    steps,
    warm_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.model import Finding
    from tests.unit.shapes import Life


def watch(
    *sites: Sequence[Life], seconds: float, start: float = 0.0, facts: bool = True, every: int = 5
) -> tuple[Judge, list[tuple[float, tuple[Finding, ...]]]]:
    """A judge that has watched these sites, and what it said meanwhile."""
    lives = [Lives(each) for each in sites]
    judge = Judge(hello(start))
    said = []
    for sample in samples(lives, start, seconds):
        judge.feed(sample)
        for asked in judge.questions() if facts else ():
            judge.facts(lives[asked.site].facts(asked.site, judge.now, asked.cuts))
        if sample.seq % every == 0:
            said.append((sample.monotonic - start, judge.findings()))
    return judge, said


def levels(said: list[tuple[float, tuple[Finding, ...]]]) -> set[str]:
    return {finding.level for _, findings in said for finding in findings}


def test_suspects_that_grow_in_step_are_one() -> None:
    """Each connection has two tasks, say; another line grows at its own pace."""
    one, other = ramp(60, 100, 90, 700), ramp(60, 37, 61, 700)
    _, said = watch(one, one, other, seconds=80)
    suspects = [{each.id for each in found if each.level == "suspect"} for at, found in said if at >= 15]
    assert suspects
    assert all(each == {0, 2} for each in suspects)


HEALTHY: dict[str, Callable[[], tuple[Sequence[Life], float]]] = {
    "a pool from start-up": lambda: (pool(50), 0),
    "a pool that comes up over 20 s": lambda: (pool(200, over=20), 0),
    "a pool that comes up over a minute": lambda: (pool(60, over=60), 0),
    "a fast warm-up that levels off": lambda: (warm_up(200, 20), 0),
    "a slow warm-up that levels off": lambda: (warm_up(200, 60), 0),
    "bursts that drain": lambda: (sawtooth(40, 30, 15, 700), 0),
    "bursts that drain slowly": lambda: (sawtooth(100, 120, 60, 700), 0),
    "batches that gather and go": lambda: (ramp(60, 60, 50, 700), 0),
    "batches that gather long": lambda: (ramp(60, 100, 90, 700), 0),
    "short requests": lambda: (churn(50, 0.5, 400), 0),
    "requests of a few seconds": lambda: (churn(20, 5, 500), 100),
    "hundreds of connections that churn": lambda: (churn(5, 60, 1300), 600),
    "hundreds of connections of five minutes": lambda: (churn(1, 300, 1800), 1200),
    "connections that fill up": lambda: (churn(1, 300, 700), 0),
    "connections that follow the load": lambda: (daily(1, 8, 60, 1200, 1000), 300),
    "few connections": lambda: (churn(0.3, 120, 1300), 600),
    "a job each 20 s": lambda: (steady(1 / 20, 700, life=5), 0),
    "a queue that drains": lambda: ([(1 + i * 0.001, 1 + i * 0.5) for i in range(600)], 0),
}


@pytest.mark.parametrize("facts", [True, False], ids=["with facts", "by counts"])
@pytest.mark.parametrize("shape", HEALTHY)
def test_a_healthy_service_is_never_called_a_leak(shape: str, facts: bool) -> None:
    lives, start = HEALTHY[shape]()
    _, said = watch(lives, seconds=400, start=start, facts=facts)
    assert "leak" not in levels(said)
    assert all(finding.level == "info" for finding in said[-1][1]), "and in the end not suspected either"


LEAKING: dict[str, tuple[Callable[[], tuple[Sequence[Life], float]], float, float]] = {
    "one sleeper per event": (lambda: (steady(50, 200), 0), 170, 3000),
    "one each two seconds": (lambda: (steady(0.57, 400), 0), 170, 34.2),
    "two a minute": (lambda: (steady(2 / 60, 400), 0), 240, 2),
    "at random": (lambda: ([(at, None) for at in arrivals(random.Random(3), 1 / 3, 400)], 0), 170, 20),
    "in steps": (lambda: (steps(8, 14, 400), 0), 170, 8 / 14 * 60),
    "in rare steps": (lambda: (steps(20, 40, 400), 0), 240, 30),
    "two a minute among thousands of requests": (
        lambda: (churn(50, 0.5, 400) + steady(2 / 60, 400), 0),
        300,
        2,
    ),
    "ten a minute among requests of seconds": (
        lambda: (churn(10, 5, 500) + steady(1 / 6, 500), 100),
        300,
        10,
    ),
    "under bursts": (lambda: (sawtooth(40, 30, 15, 400) + steady(1 / 15, 400), 0), 300, 4),
    "a backlog served in order": (
        lambda: ([(at, 2 * at + 1) for at in (i / 2 for i in range(800))], 0),
        300,
        60,
    ),
    "half of all": (lambda: (churn(2, 2, 400) + steady(2, 400), 0), 170, 120),
}


@pytest.mark.parametrize("shape", LEAKING)
def test_a_leak_is_found_in_time_with_its_rate(shape: str) -> None:
    make, limit, rate = LEAKING[shape]
    lives, start = make()
    _, said = watch(lives, seconds=limit, start=start)
    (finding,) = said[-1][1]
    assert finding.level == "leak", finding.text
    assert finding.rate_per_min == pytest.approx(rate, rel=0.35 if rate < 5 else 0.25)
    assert finding.evidence["rate_low"] <= finding.rate_per_min <= finding.evidence["rate_high"]


@pytest.mark.parametrize("rate", [0.5, 3, 100])
def test_the_rate_of_a_steady_leak_is_within_a_few_percent_after_a_minute(rate: float) -> None:
    _, said = watch(steady(rate, 61), seconds=60)
    (finding,) = said[-1][1]
    assert finding.rate_per_min == pytest.approx(rate * 60, rel=0.05)


def test_before_the_verdict_a_leak_is_a_suspect_with_the_time_left() -> None:
    _, said = watch(steady(1, 200), seconds=170)
    told = {at: findings[0] for at, findings in said if findings}
    assert told[30].level == "suspect"
    assert told[30].until_told is not None
    assert told[25 + 5 * round(told[30].until_told / 5)].level == "suspect"
    assert told[40 + 5 * round(told[30].until_told / 5)].level == "leak"


def test_a_leak_that_begins_after_hours_is_found_while_it_is_young() -> None:
    _, said = watch(steady(0.5, 7500, start=7200), seconds=7400, every=20)
    (finding,) = said[-1][1]
    assert finding.level == "leak"
    assert finding.since == pytest.approx(7200, abs=30)


@pytest.mark.parametrize(("life", "stay", "leaks"), [(90, 1000, False), (15, 3, True)])
def test_tasks_that_replace_older_ones_are_no_growth(life: int, stay: int, leaks: bool) -> None:
    """What is older is counted apart, since nobody saw which line started it.  One in ``stay`` never ends."""
    births = [number + 0.5 for number in range(400)]
    lives = [(birth, birth + life if (birth + 0.5) % stay else None) for birth in births]
    come = Lives([each for each in lives if each[0] > 200])
    were = Lives([each for each in lives if each[0] < 200 and (each[1] is None or each[1] > 200)])
    judge = Judge(hello(200))
    told = []
    for sample in samples([come, were], 200, 180):
        judge.feed(sample)
        judge.learn([replace(site(1), coroutine=site(0).coroutine, known="unknown")])
        for asked in judge.questions():
            judge.facts((come, were)[asked.site].facts(asked.site, judge.now, asked.cuts))
        told.append(any(finding.level == "leak" for finding in judge.findings()))
    assert (told[-1], any(told)) == (leaks, leaks)


def test_a_count_that_always_falls_back_is_no_leak_however_long_one_climb_takes() -> None:
    """A climb of 5 minutes fills the recent past, but the whole past has seen as much before."""
    _, said = watch(ramp(300, 400, 380, 4000), seconds=2400, start=800, every=10)
    assert "leak" not in levels(said[100:])


def test_a_leak_among_healthy_sites_is_the_only_one_named() -> None:
    _, said = watch(churn(20, 1, 200), steady(0.5, 200), pool(30), churn(2, 30, 900), seconds=180)
    named = [(finding.id, finding.level) for finding in said[-1][1] if finding.level != "info"]
    assert named == [(1, "leak")]


def test_a_leak_that_stops_is_remembered_as_a_plateau() -> None:
    _, said = watch(steady(2, 200), seconds=320)
    assert [finding.level for finding in said[39][1]] == ["leak"]
    (finding,) = said[-1][1]
    assert (finding.level, finding.evidence["why"], finding.live) == ("info", "plateau", 400)
    assert finding.text == "flat at 400: none starts, none ends"
    assert finding.since == pytest.approx(190, abs=15)


def test_growth_that_met_its_ends_is_a_plateau_of_rate_times_lifetime() -> None:
    _, said = watch(steady(25, 400, life=60), seconds=320)
    (finding,) = said[-1][1]
    assert (finding.level, finding.evidence["why"], finding.live) == ("info", "plateau", 1500)
    assert finding.text == "flat at 1,500: 25.0/s × 60 s each"
    assert finding.since == pytest.approx(58, abs=6)
    assert all(each.why != "plateau" for second, found in said for each in found if second < 100)


@pytest.mark.parametrize(
    "shape", [churn(3, 2, 400), churn(30, 2, 400), pool(40)], ids=["few", "many", "pool"]
)
def test_what_never_grew_is_on_no_plateau(shape: list[Life]) -> None:
    _, said = watch(shape, seconds=200)
    assert all(each.why != "plateau" for _, found in said for each in found)


def test_a_level_does_not_flap() -> None:
    _, said = watch(churn(3, 2, 400) + steady(0.2, 400), seconds=400, every=2)
    shown = [findings[0].level if findings else "" for _, findings in said]
    changes = sum(1 for before, after in pairwise(shown) if before != after)
    assert shown[-1] == "leak"
    assert changes <= 3


def test_threads_are_judged_as_tasks_are() -> None:
    judge, said = watch(steady(0.5, 200), seconds=180)
    assert said[-1][1][0].kind == "task"
    sites = judge.state.sites[0].site
    judge.learn([type(sites)(0, "thread", sites.frame, sites.user_frame, "monitor")])
    assert [(finding.level, finding.kind) for finding in judge.findings()] == [("leak", "thread")]


def test_the_past_that_the_agent_kept_is_judged_at_once() -> None:
    """When somebody attaches in the middle of the night, the first look already knows."""
    judge = Judge(hello())
    times = tuple(float(second) for second in range(0, 300, 2))
    live = tuple(second // 2 for second in range(0, 300, 2))
    judge.past([SiteHistory(7, times, live, live, (0,) * len(times))])
    counts = SiteCounts(7, Counts(150, 150), 1.0, 150.0)
    judge.feed(
        Sample(9, 300.0, 1300.0, 1.0, Counts(150), 1, 9, 9, 0.1, 0.0, 0.0, 9, True, (site(7),), (counts,))
    )
    (finding,) = judge.findings()
    assert (finding.level, finding.live) == ("leak", 150)
    assert finding.rate_per_min == pytest.approx(30, rel=0.05)


def test_older_tasks_that_the_past_knows_too_are_not_counted_twice() -> None:
    """Else they would seem to have ended, and those that leak since to take their place."""
    judge = Judge(hello(200))
    older = SiteCounts(0, Counts(100, 100), adopted=100)
    unknown = replace(site(0), known="unknown", coroutine=site(1).coroutine)
    came = Lives(steady(1, 400, start=200))
    for sample in samples([came], 200, 90):
        told = replace(
            sample,
            sites=(older, *(replace(each, site=1) for each in sample.sites)),
            new_sites=(unknown, site(1)),
        )
        if not judge._fed:
            judge.past([SiteHistory(0, (200.0,), (100,), (100,), (0,))], None, told)
        judge.feed(told)
        (finding, *_) = judge.findings() or (None,)
    assert finding is not None
    assert (finding.level, finding.id) == ("leak", 1)


def test_lost_and_retained_tasks_are_worth_a_note() -> None:
    judge = Judge(hello())
    counts = (
        SiteCounts(0, Counts(1, 10, 6, 0, 0, 3), 1.0, 1.0),
        SiteCounts(1, Counts(0, 900, 900), None, None, 0, 800),
    )
    judge.feed(
        Sample(0, 9.0, 9.0, 1.0, Counts(1), 1, 9, 9, 0.1, 0.0, 0.0, 9, True, (site(0), site(1)), counts)
    )
    assert {(finding.id, finding.level, finding.evidence["why"]) for finding in judge.findings()} == {
        (0, "info", "lost"),
        (1, "info", "retained"),
    }


def test_memory_does_not_grow_with_the_length_of_the_watch() -> None:
    judge, _ = watch(churn(5, 2, 3000), seconds=2900, every=60)
    watched = judge._watched[0]
    assert len(watched.whole.bins(judge.now)) <= 150
    assert len(watched.recent.bins(judge.now)) <= 150
    assert len(watched.cohorts.cuts) <= 12
