"""Births that climb are told if chains renew themselves, and not if there is load that explains them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.analysis.patterns.churns import SURE
from taskscope.model import Counts, Frame, Renewal, Sample, SiteCounts
from tests.unit.shapes import hello, site

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding

ARMED = Frame("/lib/site-packages/feed/stream.py", 68, "Stream._arm", "library")
AGAIN = Frame("/lib/site-packages/feed/stream.py", 144, "Stream._ping", "library")
CONNECT = Frame("/lib/site-packages/feed/stream.py", 65, "Stream._connected", "library")


def judged(
    seconds: int,
    *rates: Callable[[float], float],
    fds: Callable[[float], float] = lambda _: 14,
    live: Callable[[float], float] = lambda _: 1,
    pending: Callable[[float], int] | None = None,
    renewed: Frame | None = AGAIN,
    uptime: float = 100.0,
) -> list[Finding]:
    """The findings on sites that start tasks at these rates per second, none of which stays."""
    judge = Judge(hello(uptime))
    born = [0.0] * len(rates)
    for tick in range(seconds + 1):
        born = [total + rate(tick) for total, rate in zip(born, rates, strict=True)]
        counts = [
            SiteCounts(1 + at, Counts(int(live(tick)), int(total) + 1, int(total) + 1 - int(live(tick))))
            for at, total in enumerate(born)
        ]
        now = uptime + tick
        judge.feed(
            Sample(
                tick,
                now,
                now,
                1.0,
                Counts(sum(each.counts.live for each in counts)),
                2,
                int(fds(tick)),
                1 << 26,
                0.1,
                0.0,
                0.0,
                1 << 20,
                full=tick == 0,
                new_sites=tuple(site(1 + at) for at in range(len(rates))) if tick == 0 else (),
                sites=tuple(counts),
            )
        )
        if tick % 5 == 0:
            judge.findings()
        if pending is not None:
            for wanted in judge.churn.wanted(now):
                judge.churn.add(Renewal(wanted, now, pending(tick), (ARMED,), renewed, (CONNECT,)))
    return [each for each in judge.findings() if each.kind == "churn"]


def chains(tick: float) -> float:
    """A chain more every five seconds, each of one task per second."""
    return 3 + tick // 5


def number_of(tick: float) -> int:
    return int(chains(tick))


def steady(_: float) -> float:
    return 2.0


def test_chains_that_renew_themselves_are_suspected_within_a_minute_with_the_line_that_adds_one() -> None:
    (found,) = judged(55, chains, steady, pending=number_of)
    assert (found.level, found.id, found.site) == ("suspect", 1, ARMED)
    assert found.cause is not None
    assert found.cause.pattern == "chains that renew themselves"
    assert found.cause.text == (
        "each task arms the timer that starts the next, and none of these chains ends; "
        "Stream._connected starts another at stream.py:65"
    )
    assert "armed again by the task at stream.py:144" in found.cause.evidence
    assert found.text.startswith("starts ")


def test_after_the_longest_start_up_they_leak_if_there_are_more_of_them() -> None:
    assert [each.level for each in judged(int(SURE) + 10, chains, steady, pending=number_of)] == ["leak"]
    same = judged(int(SURE) + 10, chains, steady, pending=lambda _: 9)
    assert [each.level for each in same] == ["suspect"]


def test_a_site_whose_tasks_nothing_is_known_of_is_noted() -> None:
    (found,) = judged(100, chains, steady, pending=number_of, renewed=None)
    assert (found.level, found.cause.pattern if found.cause else "") == ("info", "births climb")
    assert judged(50, chains, steady, pending=number_of, renewed=None) == []
    assert judged(100, chains, chains) == [], "the births of another site climb as well"


def test_load_explains_births_that_climb() -> None:
    connections = judged(120, chains, steady, pending=number_of, fds=lambda tick: 14 + chains(tick))
    tasks_that_stay = judged(120, chains, steady, pending=number_of, live=lambda tick: 1 + chains(tick))
    assert connections == tasks_that_stay == []


@pytest.mark.parametrize(
    "rate",
    [
        steady,
        lambda tick: 10.0 if tick % 20 < 4 else 1.0,  # bursts
        lambda tick: 10 + 5 * math.sin(tick / 15),  # waves
        lambda tick: min(20.0, 2 + tick),  # a ramp that ends
        lambda tick: max(2.0, 20 - tick / 8),  # falls
        lambda tick: 5.0 if tick < 100 else 15.0,  # a step
    ],
)
def test_births_that_do_not_climb_are_no_churn(rate: Callable[[float], float]) -> None:
    assert judged(180, rate, steady, pending=lambda _: 9) == []


def test_two_chains_are_too_few() -> None:
    assert [each.level for each in judged(120, chains, steady, pending=lambda _: 2)] == ["info"]
