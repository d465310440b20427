"""Stalls are grouped by the line that holds the loop; pools are full when jobs wait and nobody is free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.judge import Judge
from taskscope.analysis.merged import Told, merged_findings
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.cancels import swallowed
from taskscope.analysis.patterns.overload import crowded, saturated
from taskscope.analysis.patterns.stalls import RECENT, stalled
from taskscope.model import (
    NEWS,
    Cancelled,
    Counts,
    Executor,
    Frame,
    FullPool,
    Loop,
    Sample,
    Stall,
    Thread,
    WaitGraph,
    WaitingAt,
    WaitNode,
    blocking,
)
from taskscope.text import blocked
from tests.unit.shapes import hello

if TYPE_CHECKING:
    from taskscope.model.vocabulary import ThreadState

SLEEP = Frame("/usr/lib/python3.11/time.py", 1, "sleep", "stdlib")
USER = Frame("/app/report.py", 12, "render")
OTHER = Frame("/app/mail.py", 5, "send")
SINCE = Onset(30.0)
POOL = Executor("ThreadPoolExecutor", 2, 2, 7, 1)


def stall(began: float, duration: float, *stack: Frame) -> Stall:
    return Stall(1, began, duration, True, 42, stack)


def sample(time: float, fds: int, threads: int = 1) -> Sample:
    return Sample(
        int(time), time, time, 1.0, Counts(), threads, fds, 1 << 20, 0.1, 0.0, 0.0, 1 << 20, False, (), ()
    )


def worker(state: ThreadState, ident: int = 1) -> Thread:
    return Thread(
        ident,
        ident,
        f"w{ident}",
        False,
        True,
        3,
        None,
        1.0,
        0.1,
        state,
        "waits for a socket",
        None,
        POOL,
        USER,
    )


def test_stalls_are_grouped_by_the_users_line_longest_in_all_first() -> None:
    held = [stall(20, 1.0, SLEEP, USER), stall(30, 2.0, SLEEP, USER)]
    found = stalled([stall(10, 0.5, OTHER), *held, stall(40, 0.2, OTHER)], 60)
    assert [(each.site, each.evidence["count"], each.evidence["longest_seconds"]) for each in found] == [
        (USER, 2, 2.0),
        (OTHER, 2, 0.5),
    ]
    assert {(each.level, each.kind) for each in found} == {("info", "stall")}
    assert found[0].text == "the loop was blocked 2 times, for up to 2.00 s, 3.00 s in total"
    assert found[0].cause is not None
    assert found[0].cause.evidence[0] == "time.py:1 in sleep"


def test_a_loop_that_is_blocked_now_is_told_of_in_the_present() -> None:
    now = replace(stall(10, 830.0, SLEEP, USER), over=False)
    (found,) = stalled([now], 840)
    assert found.level == "info"
    assert found.text == "the loop is blocked now, for 830 s so far, by report.py:12 render"
    assert blocked(found) == "the event loop is blocked, for 14 min now, by report.py:12 render"
    assert blocking([found]) is found
    (again,) = stalled([stall(300, 2.0, SLEEP, USER), now], 840)
    assert again.text == f"{found.text}; 2 times, for up to 830.00 s, 832.00 s in total"
    (over,) = stalled([replace(now, over=True)], 840)
    assert over.text == "the loop was blocked once, for 830.00 s"
    (short,) = stalled([replace(now, duration=NEWS / 2)], 20)
    assert blocking([over, short]) is None


def test_of_a_group_the_process_whose_loop_is_blocked_now_is_named() -> None:
    (over,) = stalled([stall(10, 830.0, SLEEP, USER)], 840)
    (now,) = stalled([replace(stall(10, 830.0, SLEEP, USER), over=False)], 840)
    (found,) = merged_findings([Told(7, over, 0, 0.0), Told(8, now, 0, 0.0)], lambda pids: 2)
    assert blocked(found).startswith("the event loop of 8 is blocked, for 14 min now, by")
    (left,) = merged_findings([Told(8, now, 0, 0.0, ended=True)], lambda pids: 2)
    assert blocking([left]) is None


def test_old_stalls_are_forgotten_and_one_without_a_stack_is_still_told() -> None:
    assert stalled([stall(0, 1, USER)], RECENT + 5) == ()
    assert stalled([stall(0, 1)], 5)[0].coroutine == "(unknown)"


def test_a_pool_whose_workers_all_stand_still_is_suspected_with_who_waits_behind_them() -> None:
    busy, pool = [worker("waiting", 1), worker("waiting", 2)], FullPool(1, 30.0, (WaitingAt(OTHER, 3),))
    assert [each.level for each in saturated(busy, 39, [pool])] == ["info"]
    (found,) = saturated(busy, 75, [pool])
    assert found.level == "suspect"
    assert found.cause is not None
    assert found.cause.text == "no worker has moved for at least 45s, so new jobs wait"
    assert found.cause.evidence[-1] == "3 tasks wait for a worker at mail.py:5 in send"


def test_a_loop_with_many_callbacks_to_run_is_held_by_no_line() -> None:
    assert stalled([replace(stall(10, 0.5, SLEEP, USER), queued=300)], 60) == ()
    loop = Loop(
        1, "asyncio.unix_events._UnixSelectorEventLoop", 7, True, False, 9, 300, 0, 0.12, 0.4, 0.5, ""
    )
    (found,) = crowded([loop], [replace(worker("running"), loop=1)], SINCE)
    assert found.text == "callbacks queue up: they wait 0.12 s (median), 0.40 s (p99)"
    assert found.cause is not None
    assert found.cause.evidence == ("300 callbacks wait now", "last seen in render, report.py:12")
    assert crowded([replace(loop, ready=3)], [], SINCE) == ()  # held up by slow calls, not by each other
    assert crowded([replace(loop, latency_p50=0.01)], [], SINCE) == ()
    (unknown,) = crowded([replace(loop, ready=None)], [], SINCE)  # uvloop does not say
    assert unknown.cause is not None
    assert unknown.cause.evidence == ()


def test_a_pool_is_saturated_only_if_jobs_wait_and_every_worker_is_at_work() -> None:
    (found,) = saturated([worker("waiting", 1), worker("running", 2)], 60)
    assert found.text == "ThreadPoolExecutor: all 2 workers are busy and 7 jobs wait"
    assert saturated([worker("waiting", 1), worker("idle", 2)], 60) == ()
    assert saturated([worker("waiting", 1)], 60) == ()
    unqueued = replace(POOL, queued=0)
    assert saturated([replace(worker("waiting", each), executor=unqueued) for each in (1, 2)], 60) == ()


def test_a_judge_tells_them_after_leaks_and_forgets_them_when_they_are_over() -> None:
    judge = Judge(hello())
    judge.note([stall(0.0, 1.0, USER)], [])
    assert [finding.kind for finding in judge.findings()] == ["stall"]
    judge.note([], [])
    assert judge.findings() == ()


def test_a_limit_that_is_reached_is_a_finding_until_it_is_not() -> None:
    greeting = hello()
    process = replace(greeting.process, fd_limit=256, thread_limit=100, thread_limit_by="pids.max")
    judge = Judge(replace(greeting, process=process))
    judge.feed(sample(1.0, 40))
    assert judge.findings() == ()
    judge.feed(sample(2.0, 255))
    judge.feed(sample(3.0, 256, threads=99))
    fds, threads = judge.findings()
    assert fds.kind == threads.kind == "limit"
    assert (fds.since, fds.since_at_least) == (2.0, False)
    assert fds.text == "256 of 256 file descriptors are in use"
    assert threads.text == "99 of 100 threads are in use (pids.max)"
    judge.feed(sample(4.0, 40))
    assert judge.findings() == ()


def test_a_limit_reached_before_anybody_looked_was_so_for_at_least_that_long() -> None:
    greeting = hello()
    judge = Judge(replace(greeting, process=replace(greeting.process, fd_limit=256)))
    judge.feed(sample(1.0, 256))
    (found,) = judge.findings()
    assert found.since_at_least


def test_tasks_that_swallow_cancel_at_one_line_are_one_finding() -> None:
    def cancelled(number: int, caught: Frame) -> Cancelled:
        node = WaitNode(0, "task", f"Task-{number}", number, OTHER, since=10.0 + number)
        return Cancelled(node, 1, caught)

    every = [cancelled(2, USER), cancelled(1, USER), cancelled(3, OTHER), cancelled(4, USER)]
    found = swallowed(WaitGraph(100.0, cancelled=tuple(every)))
    assert [each.live for each in found] == [3, 1]
    assert (
        found[0].text == "task Task-1 was cancelled at least 1m29s ago and still runs, as do at least 2 more"
    )
    assert found[1].text.endswith("and still runs")
