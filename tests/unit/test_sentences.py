"""What is said of growth: its steps, why it is only a suspect, where it levels off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis import growth, verdict
from taskscope.analysis.causes import explain
from taskscope.analysis.onset import Onset
from taskscope.analysis.resources import Climb, Movement, with_resources
from taskscope.analysis.sentences import _open, levelling, pace
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import Track
from taskscope.model import Finding, Frame, ParkedGroup, Projection, SiteFacts
from taskscope.text import moves
from tests.unit.shapes import site

if TYPE_CHECKING:
    from collections.abc import Callable


def said(live: Callable[[int], int], seconds: int) -> str:
    """The pace of tasks that never end."""
    track = Track(0.0, 1.0, recent=False)
    for now in range(seconds):
        track.add(float(now), live(now), live(now), 0)
    reading = growth.measure(track.bins(float(seconds)), float(seconds))
    assert reading is not None
    judged = verdict.judge(reading, None, Strength.CANNOT_END, uptime=0.0, record=True)
    return pace(judged, reading)


def test_growth_in_steps_tells_their_size_and_no_interval_that_says_nothing() -> None:
    assert said(lambda now: 1_600 * (now // 15 + now // 40), 60) == "in 4 steps of about 1,600, +9,600/min"
    assert said(lambda now: now, 60) == "steadily +60/min"


@pytest.mark.parametrize(("until", "told"), [(0.2, "1 s"), (1.4, "1 s"), (7.6, "8 s")])
def test_a_verdict_is_promised_for_the_next_sample_at_the_soonest(until: float, told: str) -> None:
    open_ = verdict.Verdict("suspect", "too early", 1.0, 1.0, 1.0, until)
    assert _open(open_) == f"verdict in {told}"


def sleepers(left: tuple[float, float], live: int = 6_000) -> SiteFacts:
    group = ParkedGroup("k", Frame("/app/service.py", 48, "decay"), "sleep", "asyncio.sleep", 200, 1.0, *left)
    return SiteFacts(0, 0.0, live, (), 200, groups=(group,), unheld=200)


def test_sleepers_level_off_at_their_rate_times_their_sleep() -> None:
    facts = sleepers((240.0, 299.0))
    cause, _ = explain(site(0), facts, None)
    ahead = levelling(facts, cause, 6_000.0)
    assert ahead is not None
    assert ahead.text == "heads for about 30,000: the first wake up in 4 min"
    assert levelling(facts, None, 6_000.0) is None
    assert levelling(sleepers((0.0, 299.0)), cause, 6_000.0) is None
    assert levelling(sleepers((240.0, 299.0), live=40_000), cause, 6_000.0) is None


def test_what_several_lines_grow_with_is_counted_once() -> None:
    """100 kB/min with 10 tasks/min of one line and 40/min of another: 2 kB for each of all."""
    moved = (Movement(1, "rss", 1.0, 10_000.0), Movement(2, "rss", 0.99, 2_500.0))
    climb = Climb("rss", 1, 1, growth.Slope(1, 1, 1), Onset(0.0), moved, None, True, False)
    line = Frame("/app/service.py", 44, "record")
    one, other = (
        Finding("leak", "task", id, line, line, "decay", 6_000, 6_000.0, 0.0, "grows") for id in (1, 2)
    )
    for each in (one, other):
        (told,) = moves(with_resources(each, [climb], (one, other)))
        assert told == "memory grows with it and 1 other line, about 2.0 kB per task of all"
    assert moves(with_resources(one, [climb], (one,))) == ["memory grows with it, about 10 kB per task"]


@pytest.mark.parametrize(("seconds", "told"), [(86_400.0, False), (60.0, True)])
def test_growth_that_levels_off_before_uses_nothing_up(seconds: float, told: bool) -> None:
    ahead = Projection("rss", 1.0, 2.0, 1.0, seconds, seconds, None, (1,))
    climb = Climb(
        "rss", 1, 1, growth.Slope(1, 1, 1), Onset(0.0), (Movement(1, "rss", 1.0, 2.0),), ahead, True, False
    )
    line = Frame("/app/service.py", 44, "record")
    found = Finding("leak", "task", 1, line, line, "decay", 6_000, 6_000.0, 0.0, "grows")
    levels = replace(found, evidence={"levels_off_in": 240.0})
    assert (with_resources(levels, [climb]).projection is not None) == told
    assert with_resources(found, [climb]).projection == ahead
