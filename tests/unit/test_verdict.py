"""How long growth is watched before it is called a leak, depending on the tasks' signs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.growth import measure
from taskscope.analysis.patterns.pattern import BOUNDED, PROVEN
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model.vocabulary import Reading


def levels(births: Iterable[float], signs: int, seconds: int) -> list[Reading]:
    """The level at each second, of tasks that never end."""
    births = sorted(births)
    track = Track(0.0, 1.0, recent=False)
    said: list[Reading] = []
    for now in range(seconds + 1):
        live = sum(1 for birth in births if birth <= now)
        track.add(float(now), live, live, 0)
        growth = measure(track.bins(float(now)), float(now))
        said.append(judge(growth, None, signs, uptime=0.0, record=True).level if growth else "flat")
    return said


def every(gap: float, until: float) -> list[float]:
    return [gap * (row + 0.5) for row in range(int(until / gap))]


@pytest.mark.parametrize(
    ("signs", "gap", "within"),
    [(3, 2, 20), (2, 20, 60), (1, 2, 50), (1, 15, 55), (1, 60, 160), (0, 2, 145), (-1, 2, 170)],
)
def test_the_stronger_the_signs_the_sooner_a_leak_is_called(signs: int, gap: float, within: int) -> None:
    assert levels(every(gap, 300), signs, 300)[within] == "leak"


def test_tasks_that_nothing_can_wake_are_a_leak_at_once_whether_or_not_they_grow() -> None:
    assert set(levels([0.0, 0.0], PROVEN, 10)[3:]) == {"leak"}


@pytest.mark.parametrize(("gap", "until"), [(0.2, 43), (1, 43), (6, 36), (10, 40), (20, 40)])
def test_tasks_meant_to_stay_may_be_started_one_after_another(gap: float, until: float) -> None:
    assert "leak" not in levels(every(gap, until), 1, 120)


def test_a_count_that_fills_up_ever_more_slowly_is_no_leak_however_regular() -> None:
    births = [2.5]
    while births[-1] < 120:
        births.append(births[-1] + 2.4 * 1.06 ** len(births))
    assert "leak" not in levels(births, 1, 65)


def test_a_pause_as_long_as_those_before_is_no_end() -> None:
    births = [second + 20 * burst for burst in range(10) for second in (1.0, 2.0, 3.0)]
    assert set(levels(births, 1, 200)[65:]) == {"leak"}


def test_what_is_bounded_is_never_a_leak() -> None:
    assert set(levels(every(1, 400), BOUNDED, 400)) == {"flat"}


@pytest.mark.parametrize("startup", [0.3, 3, 12])
def test_a_leak_that_follows_a_start_up_is_found_like_any_other(startup: float) -> None:
    at_first = [startup * row / 170 for row in range(170)]
    slowly = [startup + second for second in every(2, 300)]
    assert "leak" not in levels(at_first, 3, 120)
    assert set(levels([*at_first, *slowly], 3, 120)[60:]) == {"leak"}


@pytest.mark.parametrize("tau", [5, 10, 20, 30])
@pytest.mark.parametrize("signs", [1, 0, -1])
def test_a_count_that_fills_up_ever_slower_is_no_leak(tau: float, signs: int) -> None:
    births = [-tau * math.log(1 - row / 100) for row in range(100)]
    assert "leak" not in levels(births, signs, 240)
