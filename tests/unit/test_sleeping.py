"""A loop that sleeps with work to do is a finding; a paused process is nobody's fault."""

from __future__ import annotations

from dataclasses import replace

from taskscope.analysis.judge import Judge
from taskscope.analysis.patterns.stalls import LASTING, RECENT, overslept, paused, stalled
from taskscope.model import Frame, Stall
from tests.unit.shapes import hello

LOCK = Frame("/usr/lib/python3.11/asyncio/locks.py", 114, "Lock.acquire", "stdlib")
LIBRARY = Frame("/lib/site-packages/mesh/jobs.py", 114, "_get_or_create_proxy", "library")
USER = Frame("/app/case.py", 19, "lookups")
ASLEEP = Stall(2, 10.0, 12.3, False, 9, (LOCK, LIBRARY, USER), 1, "asleep")


def test_a_loop_asleep_with_something_to_do_is_a_hang_at_the_line_that_waits() -> None:
    (found,) = overslept([ASLEEP], 30)
    assert (found.level, found.kind, found.site, found.user_site) == ("hang", "wakeup", LIBRARY, USER)
    assert found.text == "event loop 2 has been asleep for 12.3 s with 1 callback ready to run"
    assert found.cause is not None
    assert found.cause.pattern == "lost wake-up"
    assert found.cause.evidence[0] == "locks.py:114 in Lock.acquire"


def test_it_stays_a_suspect_when_something_has_woken_the_loop() -> None:
    (short,) = overslept([replace(ASLEEP, duration=LASTING - 1)], 30)
    assert short.level == "suspect"
    over = replace(ASLEEP, over=True, queued=0, at_least=True)
    (found,) = overslept([over], 30)
    assert found.level == "suspect"
    assert found.text == "event loop 2 was asleep for at least 12.3 s with a timer overdue"
    (found,) = overslept([replace(over, woken=True)], 30)
    assert found.text.endswith("overdue, until TaskScope woke it to run a request")
    assert overslept([over], 30 + RECENT) == ()
    (both,) = overslept([over, ASLEEP], 30)
    assert (both.evidence["count"], both.evidence["lasting"]) == (2, True)


def test_a_stall_in_a_pause_of_the_process_is_blamed_on_no_line() -> None:
    pause = Stall(1, 10.0, 5.0, True, None, (USER,), paused=4.9)
    assert stalled([pause, ASLEEP], 30) == ()
    (found,) = paused([pause, ASLEEP], 30)
    assert found.text == "the process was paused once, for up to 4.90 s, and used no CPU"
    assert found.user_site is None
    assert len(stalled([replace(pause, paused=0.4)], 30)) == 1
    assert paused([replace(pause, paused=0.4)], 30) == ()


def test_the_evidence_of_a_stall_reaches_down_to_the_programs_own_line() -> None:
    deep = tuple(replace(LOCK, line=number) for number in range(20))
    (found,) = stalled([Stall(1, 10.0, 1.0, True, None, (*deep, USER, USER))], 30)
    assert found.cause is not None
    assert found.cause.evidence[-1] == "case.py:19 in lookups"


def test_a_judge_names_a_lost_wake_up_before_mere_notes() -> None:
    judge = Judge(hello())
    judge.note([Stall(1, 0.0, 1.0, True, None, (USER,)), replace(ASLEEP, began=0.0)], [])
    assert [(each.level, each.kind) for each in judge.findings()] == [
        ("hang", "wakeup"),
        ("info", "stall"),
    ]
