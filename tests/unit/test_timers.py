"""Timers are a leak where they pile up, are due late, and keep what nobody else uses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.growth import Slope
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.limits import unexplained
from taskscope.analysis.patterns.timers import piled_up
from taskscope.analysis.resources import Climb
from taskscope.analysis.timers import PilingTimers
from taskscope.model import Frame, KeptByTimers, Projection, TimerGroup, Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding
    from taskscope.model.vocabulary import Resource

FUNCTION, ARMED = Frame("/app/http.py", 90, "Http.on_idle"), Frame("/app/http.py", 40, "Http.answered")

CLOSED = KeptByTimers(inspected=6, type="Http", objects=6, alone=6, each=25_000, closed=6)
ALONE = KeptByTimers(inspected=6, type="Job", objects=6, alone=6, each=25_000)
IN_USE = KeptByTimers(inspected=6, type="Session", objects=6, alone=0, each=700)
ARGUMENTS = KeptByTimers(inspected=6, type="Hub", objects=1, alone=6, each=4_000)
ARMED_AGAIN = replace(IN_USE, again=10_000, of="Login")
NOTHING = KeptByTimers(inspected=6, type="", objects=0, alone=0, each=300)


def group_of(
    due: list[float], last: float, *, kept: KeptByTimers | None, of_tasks: bool = False
) -> TimerGroup:
    """Timers due then; ``last``: when the last was due at first."""
    return TimerGroup(
        1,
        "Http.on_idle",
        FUNCTION,
        (ARMED,),
        "imputed",
        of_tasks,
        len(due),
        min(due, default=0.0),
        max(due, default=0.0),
        later=sum(each > last for each in due),
        dues=tuple(sorted(due)[:: max(1, len(due) // 50)]),
        kept=kept,
    )


def watch(
    dues: Callable[[float], list[float]],
    seconds: int,
    kept: KeptByTimers = CLOSED,
    *,
    of_tasks: bool = False,
    attached: float = 100.0,
    started: float = 0.0,
) -> list[tuple[Finding, ...]]:
    """What is said at each look, of timers that are due then."""
    judged, said = PilingTimers(started), []
    last = max(dues(attached), default=0.0)
    for now in range(round(attached), round(attached) + seconds, 5):
        for keeps in (False, True):
            due = dues(now)
            group = group_of(due, last, kept=kept if keeps else None, of_tasks=of_tasks)
            judged.add(Timers(float(now), (group,) if due else ()))
            if not judged.wanted:
                break
        said.append(piled_up(judged.found(), float(now)))
    return said


def armed(rate: float, delay: float, *, since: float = 0.0) -> Callable[[float], list[float]]:
    """Armed ``rate`` times a second with the same delay, never cancelled."""

    def dues(now: float) -> list[float]:
        births = [since + number / rate for number in range(int((now - since) * rate))]
        return [birth + delay for birth in births if birth + delay > now]

    return dues


def levels(said: list[tuple[Finding, ...]]) -> set[str]:
    return {each.level for findings in said for each in findings}


def test_timers_of_closed_connections_are_a_leak_at_the_second_look() -> None:
    said = watch(armed(19.0, 7200.0, since=2.0), 35)
    assert [each.level for each in said[1]] == ["leak"]
    (finding,) = said[-1]
    assert (finding.level, finding.kind, finding.site) == ("leak", "timer", ARMED)
    assert finding.known == "imputed"
    assert finding.live == len(armed(19.0, 7200.0, since=2.0)(130.0))
    assert finding.rate_per_min == pytest.approx(1140, rel=0.05)
    assert finding.since == pytest.approx(2.0, abs=1.0)
    assert finding.evidence["each"] == 25_000
    assert finding.cause is not None
    assert "closed Http (25 kB)" in finding.cause.text


@pytest.mark.parametrize("kept", [ALONE, ARGUMENTS])
def test_what_only_timers_keep_is_a_leak_a_little_later(kept: KeptByTimers) -> None:
    said = watch(armed(3.0, 3600.0, since=90.0), 90, kept)
    assert levels(said[:3]) <= {"suspect"}
    assert [each.level for each in said[-1]] == ["leak"]


@pytest.mark.parametrize("kept", [ALONE, ARGUMENTS])
def test_a_past_of_timers_with_one_delay_is_growth_that_was_watched(kept: KeptByTimers) -> None:
    said = watch(armed(3.0, 3600.0, since=2.0), 15, kept)
    assert [each.level for each in said[-1]] == ["leak"]
    assert said[-1][0].since == pytest.approx(2.0, abs=1.0)


@pytest.mark.parametrize("kept", [IN_USE, NOTHING])
def test_timers_of_what_others_use_are_nothing(kept: KeptByTimers) -> None:
    assert levels(watch(armed(19.0, 7200.0), 600, kept)) == set()


def test_timers_that_do_what_others_do_are_a_leak_though_what_they_hold_is_in_use() -> None:
    (finding,) = watch(armed(3.0, 3600.0, since=2.0), 15, ARMED_AGAIN)[-1]
    assert finding.level == "leak"
    assert finding.cause is not None
    assert finding.cause.text.startswith("timers are armed again, and the earlier ones are not cancelled")
    assert levels(watch(armed(3.0, 3600.0, since=2.0), 90, replace(ARMED_AGAIN, again=100))) == set()


def test_a_few_timers_that_are_armed_twice_are_no_evidence() -> None:
    (finding,) = watch(armed(3.0, 3600.0, since=2.0), 15, replace(CLOSED, again=4, of="Http"))[-1]
    assert finding.cause is not None
    assert not [each for each in finding.cause.evidence if "another one" in each]


def test_timers_due_soon_are_nothing() -> None:
    assert levels(watch(armed(50.0, 30.0), 200)) == set()
    assert levels(watch(armed(50.0, 200.0), 400)) == set()


def test_timers_of_tasks_are_judged_as_tasks() -> None:
    assert levels(watch(armed(19.0, 7200.0), 300, of_tasks=True)) == set()


def test_a_storm_that_drains_is_nothing() -> None:
    def dues(now: float) -> list[float]:
        return [500.0 + number / 10 for number in range(3_000) if 500.0 + number / 10 > now]

    assert levels(watch(dues, 400)) == set()


def test_what_was_cancelled_and_renewed_is_nothing() -> None:
    def dues(now: float) -> list[float]:  # 200 connections, each used once in ten seconds
        return [now - (number * 7 + now) % 10 + 3600.0 for number in range(200)]

    assert levels(watch(dues, 300, ALONE)) == set()


def test_what_has_levelled_off_is_nothing() -> None:
    assert levels(watch(armed(2.0, 600.0, since=0.0), 300, attached=700.0)) == set()


def test_closed_connections_whose_timers_run_out_are_no_leak() -> None:
    """About as many run as are armed: births before the agent would only seem to grow."""

    def dues(now: float) -> list[float]:
        return armed(2.0, 600.0)(now) + [1905.0 + number for number in range(3) if now >= 1305.0]

    assert "leak" not in levels(watch(dues, 60, attached=1300.0))


def test_what_grew_before_the_agent_and_no_more_is_nothing() -> None:
    def dues(now: float) -> list[float]:
        return armed(19.0, 7200.0)(min(now, 99.0))

    assert levels(watch(dues, 60)) == set()


def test_delays_that_differ_are_not_called_one() -> None:
    def dues(now: float) -> list[float]:
        return [number / 5 + 300 + number * 7919 % 6000 for number in range(int(now * 5))]

    said = watch(dues, 150, CLOSED)
    assert {each.evidence["delay"] for findings in said for each in findings} == {None}


def test_what_people_plan_is_no_leak() -> None:
    """A quarter of the reminders is for tomorrow, by a service that has run for days."""

    def dues(now: float) -> list[float]:
        ahead = (600.0, 1800.0, 3600.0, 86400.0)
        births = range(int(now) - 86400, int(now), 10)
        late = [birth + ahead[birth // 10 % 4] for birth in births]
        more = [birth + ahead[birth % 4] for birth in range(200_000, int(now))]
        return [due for due in (*late, *more) if due > now]

    assert "leak" not in levels(watch(dues, 200, ALONE, attached=200_000.0))


def test_a_few_are_nothing() -> None:
    assert levels(watch(armed(0.1, 7200.0, since=60.0), 120)) == set()


def test_a_leak_that_stops_is_no_leak_any_more() -> None:
    def dues(now: float) -> list[float]:
        return armed(19.0, 7200.0)(min(now, 150.0))

    said = watch(dues, 400)
    assert levels(said[:9]) >= {"leak"}
    assert said[-1] == ()


def test_a_group_that_is_gone_is_forgotten() -> None:
    def dues(now: float) -> list[float]:
        return armed(19.0, 7200.0)(now) if now < 150.0 else []

    assert watch(dues, 100)[-1] == ()


def climb(resource: Resource, rate: float) -> Climb:
    ahead = Projection("rss", 1e9, 2e9, rate, 3000.0, 2900.0, 3100.0)
    return Climb(resource, 10**9, 10**8, Slope(rate, rate, rate), Onset(0.0), (), ahead, True, True)


@pytest.mark.parametrize(("rate", "explained"), [(40e6, True), (80e6, False)])
def test_timers_explain_memory_that_grows_by_what_they_keep(rate: float, explained: bool) -> None:
    judged, dues = PilingTimers(0.0), armed(19.0, 7200.0, since=2.0)
    for now in (100.0, 105.0, 110.0):
        judged.add(Timers(now, (group_of(dues(now), max(dues(100.0)), kept=CLOSED),)))
    timers = judged.found()
    memory, descriptors = climb("rss", rate), climb("fds", rate)
    (finding,) = piled_up(timers, 110.0, (descriptors, memory))
    assert (finding.projection == memory.projection) == explained
    assert len(unexplained((memory, descriptors), 110.0, [each.grown for each in timers])) == (
        1 if explained else 2
    )
