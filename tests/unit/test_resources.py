"""Descriptors, memory and threads: which site they move with, and when they run out."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.analysis.resources import correlation
from tests.unit.shapes import PROCESS, Lives, churn, hello, pool, samples, steady, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def test_descriptors_that_move_with_a_leak_are_told_with_how_many_each_and_when_they_run_out() -> None:
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
    (projection,) = judge.projections()
    live = len([birth for birth, _ in steps(8, 14, 200) if birth <= 180])
    assert projection.seconds == pytest.approx((1024 - 20 - 3 * live) / (3 * 8 / 14), rel=0.2)


def test_a_resource_that_grows_on_its_own_is_no_ones() -> None:
    def fds(at: float, live: list[int]) -> int:
        return 20 + int(2 * at if at < 90 else 180 + (at - 90) / 2)

    judge = watch(steps(8, 15, 200, start=60), seconds=180, fds=fds)
    assert [finding.level for finding in judge.findings()] != []
    assert judge.resources.rate("fds", judge.now) is not None
    assert all("fds" not in finding.evidence.get("moves", {}) for finding in judge.findings())


def test_connections_that_come_and_go_do_not_hide_what_moves_together() -> None:
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
    assert judge.projections() == ()


def test_without_a_limit_there_is_no_time_left_to_tell() -> None:
    judge = watch(steady(0.5, 200), seconds=120, fds=lambda at, live: 20 + live[0], fd_limit=None)
    assert judge.projections() == ()


def test_memory_meets_its_limit() -> None:
    judge = watch(
        steady(2, 200), seconds=150, fds=lambda at, live: 20, rss=lambda at: int((50 + at) * (1 << 20))
    )
    (projection,) = judge.projections()
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
            (before,) = judge.projections()
    (projection,) = judge.projections()
    assert (projection.resource, projection.limit_by) == ("threads", "RLIMIT_NPROC of the user")
    assert before.seconds == pytest.approx((1000 - 2 - 45) / 0.5, rel=0.1)
    assert projection.seconds == pytest.approx((400 - 2 - 75) / 0.5, rel=0.1)


def test_growth_over_a_run_is_told_in_percent() -> None:
    judge = watch(pool(5), seconds=200, fds=lambda at, live: 100 + int(at / 10))
    assert judge.resources.percent("fds", judge.now) == pytest.approx(18, abs=2)
    assert judge.resources.percent("rss", judge.now) == pytest.approx(0)


def test_a_series_that_does_not_vary_correlates_with_nothing() -> None:
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
