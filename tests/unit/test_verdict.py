"""How long growth is watched before it is called a leak, depending on the strength of other evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.growth import measure
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model.vocabulary import Reading


def levels(births: Iterable[float], strength: Strength, seconds: int) -> list[Reading]:
    """The level at each second, of tasks that never end."""
    births = sorted(births)
    track = Track(0.0, 1.0, recent=False)
    said: list[Reading] = []
    for now in range(seconds + 1):
        live = sum(1 for birth in births if birth <= now)
        track.add(float(now), live, live, 0)
        growth = measure(track.bins(float(now)), float(now))
        said.append(judge(growth, None, strength, uptime=0.0, record=True).level if growth else "flat")
    return said


def every(gap: float, until: float) -> list[float]:
    return [gap * (row + 0.5) for row in range(int(until / gap))]


@pytest.mark.parametrize(
    ("strength", "gap", "within"),
    [
        (Strength.CANNOT_END, 2, 20),
        (Strength.REPEATED, 20, 60),
        (Strength.PERMANENT, 2, 50),
        (Strength.PERMANENT, 15, 55),
        (Strength.PERMANENT, 60, 160),
        (Strength.NONE, 2, 145),
        (Strength.UNLIKELY, 2, 170),
    ],
)
def test_the_stronger_the_evidence_the_sooner_a_leak_is_called(
    strength: Strength, gap: float, within: int
) -> None:
    assert levels(every(gap, 300), strength, 300)[within] == "leak"


def test_what_lasts_as_long_as_others_want_is_no_leak_before_some_have_ended() -> None:
    assert "leak" not in levels(every(1, 600), Strength.OPEN_ENDED, 600)


def test_tasks_that_nothing_can_wake_are_a_leak_at_once_whether_or_not_they_grow() -> None:
    assert set(levels([0.0, 0.0], Strength.PROVEN, 10)[3:]) == {"leak"}


@pytest.mark.parametrize(("gap", "until"), [(0.2, 43), (1, 43), (6, 36), (10, 40), (20, 40)])
def test_tasks_meant_to_stay_may_be_started_one_after_another(gap: float, until: float) -> None:
    assert "leak" not in levels(every(gap, until), Strength.PERMANENT, 120)


def test_a_count_that_fills_up_ever_more_slowly_is_no_leak_however_regular() -> None:
    births = [2.5]
    while births[-1] < 120:
        births.append(births[-1] + 2.4 * 1.06 ** len(births))
    assert "leak" not in levels(births, Strength.PERMANENT, 65)


def test_a_pause_as_long_as_those_before_is_no_end() -> None:
    births = [second + 20 * burst for burst in range(10) for second in (1.0, 2.0, 3.0)]
    assert set(levels(births, Strength.PERMANENT, 200)[65:]) == {"leak"}


def test_what_is_bounded_is_never_a_leak() -> None:
    assert set(levels(every(1, 400), Strength.BOUNDED, 400)) == {"flat"}


@pytest.mark.parametrize("startup", [0.3, 3, 12])
def test_a_leak_that_follows_a_start_up_is_found_like_any_other(startup: float) -> None:
    at_first = [startup * row / 170 for row in range(170)]
    slowly = [startup + second for second in every(2, 300)]
    assert "leak" not in levels(at_first, Strength.CANNOT_END, 120)
    assert set(levels([*at_first, *slowly], Strength.CANNOT_END, 120)[60:]) == {"leak"}


@pytest.mark.parametrize("tau", [5, 10, 20, 30])
@pytest.mark.parametrize("strength", [Strength.PERMANENT, Strength.NONE, Strength.UNLIKELY])
def test_a_count_that_fills_up_ever_slower_is_no_leak(tau: float, strength: Strength) -> None:
    births = [-tau * math.log(1 - row / 100) for row in range(100)]
    assert "leak" not in levels(births, strength, 240)
