"""When a rule fires: once for each thing, and again only after it was away."""

from __future__ import annotations

import dataclasses
import itertools

from taskscope.analysis.rules import parse
from taskscope.analysis.triggers import AWAY, Triggers
from taskscope.model import Counts, Finding, Frame, Sample, Stall
from tests.unit.shapes import PROCESS

LINE = Frame("/srv/app/main.py", 7, "handle")
LEAK = Finding("leak", "task", 3, LINE, LINE, "handle", 50, 12.0, 0.0, "50 live")


def sample(at: float, *, live: int = 5, fds: int | None = 10) -> Sample:
    return Sample(int(at), at, 1000 + at, 1.0, Counts(live, live), 2, fds, 1, 0.1, 0.001, None, None)


def triggers(words: str, fd_limit: int | None = 100) -> Triggers:
    return Triggers(parse(words, "report:/a"), dataclasses.replace(PROCESS, fd_limit=fd_limit))


def fired(
    rule: Triggers, at: float, *findings: Finding, stalls: tuple[Stall, ...] = (), **more: int
) -> list[str]:
    """What is new at that time, all of it acted on."""
    rule.see(sample(at, **more), findings, stalls)
    due = tuple(rule.due.values())
    rule.done(due)
    return [each.word for each in due]


def test_a_leak_that_lasts_all_night_is_one_leak() -> None:
    rule = triggers("leak")
    assert fired(rule, 0, LEAK) == ["leak"]
    found = [fired(rule, at, dataclasses.replace(LEAK, live=int(at))) for at in range(1, 36_000, 60)]
    assert not any(found)


def test_it_fires_again_after_it_was_away() -> None:
    rule = triggers("leak")
    assert fired(rule, 0, LEAK) == ["leak"]
    assert fired(rule, 1) == []
    assert fired(rule, AWAY / 2, LEAK) == []
    assert fired(rule, 2 * AWAY, LEAK) == ["leak"]


def test_what_nobody_could_act_on_stays_due_while_it_lasts() -> None:
    rule = triggers("leak")
    for at in (0.0, 1.0):
        rule.see(sample(at), (LEAK,), ())
        assert len(rule.due) == 1
    rule.see(sample(1 + AWAY), (), ())
    assert not rule.due


def test_other_levels_do_not_count() -> None:
    assert fired(triggers("hang,spin"), 0, LEAK) == []


def stall(began: float, duration: float, *, over: bool, line: int = 7) -> Stall:
    frames = Frame("/usr/lib/python3/x.py", 1, "read", "stdlib"), Frame("/srv/app.py", line, "load")
    return Stall(1, began, duration, over, None, frames)


def test_a_stall_fires_once_it_is_long_enough_and_once_for_a_function() -> None:
    rule = triggers("stall=5s")
    old = stall(-100, 50, over=True)
    assert fired(rule, 0, stalls=(old,)) == []  # over before we came
    assert fired(rule, 4, stalls=(stall(0, 4, over=False), old)) == []
    assert fired(rule, 6, stalls=(stall(0, 6, over=False), old)) == ["stall"]
    assert fired(rule, 60, stalls=(stall(50, 9, over=True, line=8), stall(0, 6, over=True))) == []


def test_a_stall_between_two_samples_is_not_missed() -> None:
    rule = triggers("stall=500ms")
    assert fired(rule, 10) == []
    assert fired(rule, 11, stalls=(stall(10.1, 0.6, over=True),)) == ["stall"]


def test_a_share_of_a_limit_fires_when_it_is_passed() -> None:
    rule = triggers("fds=90%")
    assert fired(rule, 0, fds=89) == []
    assert fired(rule, 1, fds=90) == ["descriptors"]


def test_without_a_limit_it_says_that_it_never_fires() -> None:
    rule = triggers("fds=90%", fd_limit=None)
    assert list(rule.impossible()) == ["no limit of its descriptors is known"]
    assert fired(rule, 0, fds=10_000) == []


def test_growth_needs_its_whole_window_and_begins_anew_after_it_fired() -> None:
    rule = triggers("growth=20%/1m")
    found = {at: fired(rule, at, live=100 + at) for at in range(200)}
    times = [at for at, words in found.items() if words]
    assert len(times) == 3
    assert 60 <= times[0] <= 64
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))


def test_a_burst_that_ends_is_no_growth() -> None:
    rule = triggers("growth=50%/1m")
    assert not any(fired(rule, at, live=500 if 100 < at < 104 else 100) for at in range(200))
