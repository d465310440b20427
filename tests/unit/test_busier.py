"""CPU that climbs is noted if there are no more tasks, and no more births of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.busier import CpuTrack
from taskscope.analysis.patterns.limits import busier

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.analysis.busier import Busier


def track(
    cpu: Callable[[float], float],
    *,
    seconds: int = 240,
    tasks: Callable[[float], float] = lambda _: 20,
    births: Callable[[float], float] = lambda _: 3,
) -> Busier | None:
    found = CpuTrack()
    born = 0.0
    for time in range(seconds):
        born += births(time)
        noise = 0.03 * math.sin(time * 1.7)
        found.add(float(time), cpu(time) + noise, tasks(time), born)
    return found.found()


def climbing(time: float) -> float:
    return 0.1 + time / 600


def test_cpu_that_climbs_without_tasks_is_noted_with_the_way_to_the_view() -> None:
    climb = track(climbing)
    assert climb is not None
    assert climb.last > climb.first + 0.2
    (note,) = busier(climb, 240)
    assert (note.level, note.kind, note.why) == ("info", "growth", "unexplained")
    assert note.text.startswith("CPU climbs: ")
    assert note.cause is not None
    assert "key 7" in note.cause.evidence[0]
    assert busier(None, 240) == ()


@pytest.mark.parametrize(
    "cpu",
    [
        lambda _: 0.9,
        lambda time: 0.3 + 0.2 * math.sin(time / 20),  # waves
        lambda time: 0.5 if time % 40 < 10 else 0.1,  # bursts
        lambda time: min(0.4, 0.1 + time / 100),  # a start-up
        lambda time: 0.1 + time / 6000,  # too little to matter
        lambda time: max(0.1, 0.6 - time / 500),  # falls
    ],
)
def test_other_courses_are_none(cpu: Callable[[float], float]) -> None:
    assert track(cpu) is None


def test_load_explains_it_and_two_minutes_are_needed() -> None:
    assert track(climbing, tasks=lambda time: 20 + time / 4) is None
    assert track(climbing, births=lambda time: 3 + time / 40) is None
    assert track(climbing, seconds=100) is None
