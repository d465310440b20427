"""Ended tasks that something keeps are a leak only while their number keeps growing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, Keeper, Sample, SiteCounts, SiteFacts
from tests.unit.shapes import hello, site

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding


def watch(kept: Callable[[int], int], seconds: int) -> list[tuple[Finding, ...]]:
    """What is said at each second of a site of which so many ended tasks are kept then."""
    judge = Judge(hello())
    said = []
    for now in range(1, seconds + 1):
        counts = SiteCounts(0, Counts(1, 5 * now + 1, 5 * now), now - 0.1, now - 0.1, retained=kept(now))
        new = (site(0),) if now == 1 else ()
        judge.feed(
            Sample(
                now,
                float(now),
                1000.0 + now,
                1.0,
                Counts(1),
                1,
                10,
                1 << 20,
                0.1,
                0.001,
                0.0,
                1 << 20,
                now == 1,
                new,
                (counts,),
            )
        )
        for asked in judge.questions():
            keeper = Keeper("Hub.tasks", "list", kept(now), "app.hub", 100_000)
            judge.facts(SiteFacts(asked.site, float(now), 1, (), keeper=keeper))
        said.append(judge.findings())
    return said


def test_a_growing_number_is_a_leak_with_what_keeps_them_and_how_much() -> None:
    (finding,) = watch(lambda now: 5 * now, 160)[-1]
    assert finding.level == "leak"
    assert 280 < finding.rate_per_min < 320
    assert " are done but still referenced by Hub.tasks (list of " in finding.text
    assert ", growing) of the Hub in module app.hub, 100 kB each, steadily +300" in finding.text
    assert finding.cause is not None
    assert finding.cause.pattern == "ended tasks kept"


def test_a_cache_that_is_full_is_none() -> None:
    said = watch(lambda now: min(5 * now, 400), 300)
    assert {each.level for findings in said for each in findings} <= {"suspect", "info"}
    (finding,) = said[-1]
    assert (finding.level, finding.evidence["why"]) == ("info", "retained")


def test_a_few_are_nothing() -> None:
    assert not any(watch(lambda now: min(now, 15), 100))
