"""What a hang explains is not told once more, and it is as old as anything proves."""

from __future__ import annotations

from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.deadlocks import DEADLOCK, ITSELF
from taskscope.analysis.patterns.overload import POOL_SATURATED
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.analysis.patterns.stalls import LOOP_HELD
from taskscope.model import Executor, Frame, Stall, Thread, WaitEdge, WaitGraph, WaitNode

RESULT = Frame("/app/store.py", 19, "load")
OTHER = Frame("/app/store.py", 90, "render")
MAIN = WaitNode(1, "thread", "MainThread", 1, RESULT, RESULT, since=190.0)
GRAPH = WaitGraph(229.0, (MAIN,), (WaitEdge(1, 1, "loop"),))


def stall(frame: Frame, *, over: bool = False) -> Stall:
    return Stall(1, 60.0, 169.0, over, None, (frame,), 0, "held")


def facts(*stalls: Stall, graph: WaitGraph = GRAPH, threads: tuple[Thread, ...] = ()) -> ProcessFacts:
    return ProcessFacts(229.0, stalls, threads, (), Onset(229.0), waits=graph)


def test_a_thread_that_holds_its_loop_up_has_waited_as_long_as_that() -> None:
    (found,) = ITSELF.find(facts(stall(RESULT)))
    assert found.since == 60.0
    assert "for at least 2m49s" in found.text
    (later,) = ITSELF.find(facts(stall(RESULT, over=True)))
    assert later.since == 190.0


def test_without_a_lock_none_is_spoken_of() -> None:
    (found,) = ITSELF.find(facts())
    assert found.cause is not None
    assert "RLock" not in found.cause.explanation
    assert "await" in found.cause.explanation.lower()


def test_the_line_of_a_hang_is_not_told_as_a_stall_too() -> None:
    assert LOOP_HELD.find(facts(stall(RESULT))) == ()
    assert len(LOOP_HELD.find(facts(stall(OTHER)))) == 1
    assert len(LOOP_HELD.find(facts(stall(RESULT, over=True)))) == 1


def workers(number: int) -> tuple[Thread, ...]:
    pool = Executor("index", number, number, 7)
    return tuple(
        Thread(
            each,
            each,
            f"index_{each}",
            True,
            True,
            None,
            None,
            None,
            None,
            "waiting",
            "x",
            None,
            pool,
            RESULT,
        )
        for each in range(number)
    )


def test_a_pool_that_waits_for_itself_needs_no_more_workers() -> None:
    nodes = (
        WaitNode(1, "thread", "index_0", 1, RESULT, RESULT, since=0.0),
        WaitNode(2, "pool", "index", size=1, either=True),
    )
    graph = WaitGraph(229.0, nodes, (WaitEdge(1, 2, "waits"), WaitEdge(2, 1, "runs")))
    assert POOL_SATURATED.find(facts(graph=graph, threads=workers(1))) == ()
    assert len(POOL_SATURATED.find(facts(graph=WaitGraph(229.0), threads=workers(1)))) == 1
    told = [*ITSELF.find(facts(graph=graph)), *DEADLOCK.find(facts(graph=graph))]
    assert "the pool index" in " ".join(each.text for each in told) + " ".join(
        step for each in told if each.cause is not None for step in each.cause.evidence
    )
