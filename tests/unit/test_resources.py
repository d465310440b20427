"""Descriptors, memory and threads: which site they move with, and when they run out."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.analysis.likeness import correlation
from tests.unit.shapes import PROCESS, Lives, churn, daily, hello, pool, samples, steady, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.model import Finding, Projection
    from tests.unit.shapes import Life


def watch(
    *sites: Sequence[Life],
    seconds: float,
    fds: Callable[[float, list[int]], int],
    fd_limit: int | None = 1024,
    rss: Callable[[float], int] = lambda at: 50 << 20,
) -> Judge:
    """A judge over sites, with descriptors as a function of time and live counts."""
    lives = [Lives(each) for each in sites]
    process = dataclasses.replace(PROCESS, fd_limit=fd_limit, memory_limit=1 << 30)
    judge = Judge(dataclasses.replace(hello(), process=process))
    for sample in samples(lives, 0.0, seconds):
        live = [each.counts(0, sample.monotonic).counts.live for each in lives]
        at = sample.monotonic
        judge.feed(dataclasses.replace(sample, fds=fds(at, live), rss=rss(at)))
        for asked in judge.questions():
            judge.facts(lives[asked.site].facts(asked.site, judge.now, asked.cuts))
        if sample.seq % 5 == 0:
            judge.findings()
    return judge


def projections(judge: Judge) -> tuple[Projection, ...]:
    return tuple(each.projection for each in judge.climbs() if each.projection is not None)


def growing_alone(
    rss: Callable[[float], float], seconds: int, *sites: Sequence[Life], started: float = 0.0
) -> list[tuple[int, Finding]]:
    """What is told of memory that climbs with no task, each 5 s; the limit is 1 GiB."""
    lives = [Lives(each) for each in sites]
    process = dataclasses.replace(PROCESS, memory_limit=1 << 30)
    judge = Judge(dataclasses.replace(hello(started), process=process))
    told = []
    for sample in samples(lives, started, seconds):
        judge.feed(dataclasses.replace(sample, rss=int(rss(sample.monotonic - started))))
        for asked in judge.questions():
            judge.facts(lives[asked.site].facts(asked.site, judge.now, asked.cuts))
        if sample.seq % 5 == 0:
            told += [(sample.seq, each) for each in judge.findings() if each.kind == "growth"]
    return told


def test_descriptors_that_move_with_a_leak_are_reported_with_the_number_per_task_and_the_time_left() -> None:
    judge = watch(
        steady(0.5, 200), churn(5, 1, 200), seconds=180, fds=lambda at, live: 20 + 3 * live[0] + live[1] % 3
    )
    finding = judge.findings()[0]
    assert finding.level == "leak"
    assert finding.evidence["moves"]["fds"]["each"] == pytest.approx(3, rel=0.1)
    assert finding.projection is not None
    assert finding.projection.resource == "fds"
    truth = (1024 - 20 - 3 * 90) / 1.5
    assert finding.projection.seconds == pytest.approx(truth, rel=0.1)
    assert finding.projection.earliest <= finding.projection.seconds <= (finding.projection.latest or 1e9)


def test_in_steps_too() -> None:
    judge = watch(steps(8, 14, 200), seconds=180, fds=lambda at, live: 20 + 3 * live[0])
    (projection,) = projections(judge)
    live = len([birth for birth, _ in steps(8, 14, 200) if birth <= 180])
    assert projection.seconds == pytest.approx((1024 - 20 - 3 * live) / (3 * 8 / 14), rel=0.2)


def test_a_resource_that_grows_on_its_own_is_attributed_to_no_site() -> None:
    def fds(at: float, live: list[int]) -> int:
        return 20 + int(2 * at if at < 90 else 180 + (at - 90) / 2)

    judge = watch(steps(8, 15, 200, start=60), seconds=180, fds=fds)
    assert [finding.level for finding in judge.findings()] != []
    assert [each.resource for each in judge.climbs()] == ["fds"]
    assert all("fds" not in finding.evidence.get("moves", {}) for finding in judge.findings())


def test_connections_that_come_and_go_do_not_hide_series_that_move_together() -> None:
    dice = random.Random(5)
    judge = watch(steady(0.5, 200), seconds=180, fds=lambda at, live: 50 + 2 * live[0] + dice.randrange(15))
    assert judge.findings()[0].evidence["moves"]["fds"]["each"] == pytest.approx(2, rel=0.2)


def test_a_resource_that_breathes_has_no_end() -> None:
    dice = random.Random(1)
    judge = watch(
        pool(20),
        seconds=180,
        fds=lambda at, live: 40 + dice.randrange(10),
        rss=lambda at: (50 << 20) + dice.randrange(1 << 20),
    )
    assert projections(judge) == ()


def test_without_a_limit_there_is_no_forecast() -> None:
    judge = watch(steady(0.5, 200), seconds=120, fds=lambda at, live: 20 + live[0], fd_limit=None)
    assert projections(judge) == ()


def test_memory_meets_its_limit() -> None:
    judge = watch(
        steady(2, 200), seconds=150, fds=lambda at, live: 20, rss=lambda at: int((50 + at) * (1 << 20))
    )
    (projection,) = projections(judge)
    assert projection.resource == "rss"
    assert projection.seconds == pytest.approx(1024 - 200, rel=0.1)


def test_threads_meet_the_limit_of_today() -> None:
    lives = Lives(steady(0.5, 200))
    process = dataclasses.replace(PROCESS, thread_limit=1000, thread_limit_by="RLIMIT_NPROC of the user")
    judge = Judge(dataclasses.replace(hello(), process=process))
    for sample in samples([lives], 0.0, 150):
        live = lives.counts(0, sample.monotonic).counts.live
        lower = dataclasses.replace(process, thread_limit=400) if sample.monotonic == 100 else None
        judge.feed(dataclasses.replace(sample, threads=2 + live, process=lower))
        if sample.monotonic == 90:
            (before,) = projections(judge)
    (projection,) = projections(judge)
    assert (projection.resource, projection.limit_by) == ("threads", "RLIMIT_NPROC of the user")
    assert before.seconds == pytest.approx((1000 - 2 - 45) / 0.5, rel=0.1)
    assert projection.seconds == pytest.approx((400 - 2 - 75) / 0.5, rel=0.1)


def test_growth_over_a_run_is_given_in_percent() -> None:
    judge = watch(pool(5), seconds=200, fds=lambda at, live: 100 + int(at / 10))
    assert judge.resources.percent("fds", judge.now) == pytest.approx(18, abs=2)
    assert judge.resources.percent("rss", judge.now) == pytest.approx(0)


def test_a_series_that_does_not_vary_correlates_with_nothing() -> None:
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


@pytest.mark.parametrize("jump", [500, 40])
@pytest.mark.parametrize("first", [[], pool(171, start=5.5, over=1)], ids=["", "and tasks after it"])
def test_descriptors_opened_at_start_up_do_not_hide_those_that_move_with_a_leak(
    first: list[Life], jump: int
) -> None:
    """As in ``rotation``: it opens its files and sockets at the start."""
    judge = watch(
        [*first, *steady(0.5, 400, start=12)],
        seconds=200,
        fds=lambda at, live: 20 + int(jump * min(1, at / 4)) + 3 * max(0, live[0] - len(first)),
    )
    finding = judge.findings()[0]
    assert finding.projection is not None
    assert finding.evidence["moves"]["fds"]["each"] == pytest.approx(3, rel=0.1)
    assert finding.projection.seconds == pytest.approx((1024 - 20 - jump - 3 * 94) / 1.5, rel=0.1)


def test_a_pool_filled_before_a_leak_began_is_outside_the_window_in_which_both_move() -> None:
    judge = watch(
        steady(0.5, 400, start=200),
        seconds=360,
        fds=lambda at, live: 20 + int(min(200, 2 * at)) + 3 * live[0],
    )
    assert judge.findings()[0].evidence["moves"]["fds"]["each"] == pytest.approx(3, rel=0.1)


def test_memory_that_climbs_without_tasks_is_reported_once_it_has_lasted() -> None:
    told = growing_alone(lambda at: (60 + at / 2) * 1e6, 300, churn(3, 4, 400))
    second, finding = told[0]
    assert 120 < second < 200
    assert finding.level == "info"
    assert finding.id == 0
    assert finding.text == "memory grows by 30 MB/min; 142 MB of 1.1 GB"
    assert finding.evidence["rate_per_min"] == pytest.approx(30e6, rel=0.05)
    assert finding.since_wall is not None
    assert finding.since < 10
    assert [each for each, _ in told] == list(range(second, 301, 5))


def test_growth_that_may_be_a_warm_up_is_reported_once_a_warm_up_is_over() -> None:
    told = growing_alone(lambda at: (200 + at / 5) * 1e6, 900, pool(5))
    assert 650 < told[0][0] < 780
    assert [each for each, _ in told] == list(range(told[0][0], 901, 5))


def test_it_is_a_suspect_if_the_limit_is_near() -> None:
    told = growing_alone(lambda at: (60 + 3 * at) * 1e6, 260, pool(5))
    assert {finding.level for _, finding in told} == {"suspect"}
    projection = told[-1][1].projection
    assert projection is not None
    assert projection.seconds == pytest.approx((1073.7 - 60 - 780) / 3, rel=0.1)


def test_growth_of_the_last_minutes_shows_in_a_long_life() -> None:
    told = growing_alone(lambda at: (400 + max(0.0, at - 3000) / 2) * 1e6, 3400, pool(5), started=500.0)
    assert 3080 < told[0][0] < 3200
    assert told[0][1].since == pytest.approx(3500, abs=30)
    assert told[-1][1].evidence["rate_per_min"] == pytest.approx(30e6, rel=0.1)


def sawtooth_of(period: float, height: float, share: float = 1.0) -> Callable[[float], float]:
    """Climbs to ``height`` MB, then falls back to nothing."""
    return lambda at: (80 + height * min(1.0, (at % period) / (share * period))) * 1e6


@pytest.mark.parametrize(
    "rss",
    [
        sawtooth_of(60, 50),
        sawtooth_of(100, 200, 0.3),
        lambda at: (40 + 30 * (1 - math.exp(-at / 40))) * 1e6,  # imports, arenas, a cache that fills up
        lambda at: (40 + 60 * min(1.0, at / 90)) * 1e6,  # a cache with a bound
        lambda at: (40 + 10 * math.log1p(at)) * 1e6,  # ever fewer entries are new
        lambda at: (40 + at / 100) * 1e6,  # a gain of 3 MB in five minutes: fragmentation
        lambda at: (40 + 100 * (at > 150)) * 1e6,  # one big load
        lambda at: (60 + at / 6) * 1e6,  # five minutes of warming up
    ],
    ids=[
        *("sawtooth", "batches", "warm-up", "bounded cache", "slower and slower", "creeping", "one step"),
        "slow warm-up",
    ],
)
def test_healthy_memory_is_never_told(rss: Callable[[float], float]) -> None:
    assert growing_alone(rss, 300, churn(3, 4, 400), pool(5)) == []


def test_a_cache_that_has_filled_up_is_no_longer_reported() -> None:
    told = growing_alone(lambda at: (40 + min(200.0, 0.8 * at)) * 1e6, 400, churn(3, 4, 500))
    assert {finding.level for _, finding in told} <= {"info"}
    assert max(second for second, _ in told) < 270


def test_memory_that_grows_with_the_load_is_explained() -> None:
    day = daily(2, 12, 20, 800, 400)
    lives = Lives(day)
    live = {at: lives.counts(0, at).counts.live for at in range(402)}
    assert growing_alone(lambda at: (40 + 0.4 * live[int(at)]) * 1e6, 400, day) == []
