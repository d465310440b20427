"""What cannot continue: cycles, and waits for something that is gone; whatever may still move is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.chains import STILL
from taskscope.analysis.patterns.deadlocks import DEADLOCK, ITSELF, OWNER_GONE
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.model import Finding, Frame, WaitEdge, WaitGraph, WaitNode, deadlocked

if TYPE_CHECKING:
    from taskscope.model.vocabulary import EdgeKind, NodeKind

NOW = 100.0
TAKEN, WANTED, DEL = (
    Frame("/app/a.py", 3, "take"),
    Frame("/app/a.py", 5, "want"),
    Frame("/app/b.py", 8, "__del__"),
)


def living(id: int, since: float = 0.0, *, either: bool = False, thread: bool = False) -> WaitNode:
    kind: NodeKind = "thread" if thread else "task"
    return WaitNode(id, kind, f"t{id}", id, WANTED, WANTED, since=since, either=either)


def lock(id: int) -> WaitNode:
    return WaitNode(id, "lock", "Lock", size=1)


def slots(id: int) -> WaitNode:
    return WaitNode(id, "slots", "Semaphore", either=True, size=2)


def waits(waiter: int, on: int) -> WaitEdge:
    return WaitEdge(waiter, on, "waits")


def held(thing: int, by: int) -> WaitEdge:
    return WaitEdge(thing, by, "held", TAKEN)


CIRCLE = WaitGraph(
    NOW,
    (living(1), living(2), lock(3), lock(4), living(5)),
    (waits(1, 3), held(3, 2), waits(2, 4), held(4, 1), WaitEdge(5, 1, "ends")),
)


def found(graph: WaitGraph) -> list[tuple[str, Finding]]:
    facts = ProcessFacts(NOW, (), (), (), Onset(NOW), waits=graph)
    return [(each.name, finding) for each in (ITSELF, OWNER_GONE, DEADLOCK) for finding in each.find(facts)]


def test_a_circle_is_stuck_and_so_is_what_waits_behind_it() -> None:
    assert deadlocked(CIRCLE.nodes, CIRCLE.edges) == {1, 2, 3, 4, 5}
    assert deadlocked(CIRCLE.nodes, CIRCLE.edges[1:]) == set()


def test_one_holder_that_continues_is_enough_for_a_slot_but_not_for_a_gather() -> None:
    nodes, ways = (living(1), living(2), slots(3)), [waits(1, 3), held(3, 1), held(3, 2)]
    assert deadlocked(nodes, ways) == set()
    assert deadlocked(nodes, [*ways, waits(2, 3)]) == {1, 2, 3}
    circle = [waits(1, 4), held(4, 1)]
    group = [WaitEdge(5, 1, "ends"), WaitEdge(5, 2, "ends")]
    assert 5 in deadlocked((living(1), living(2), lock(4), living(5)), [*circle, *group])
    assert 5 not in deadlocked((living(1), living(2), lock(4), living(5, either=True)), [*circle, *group])


def test_a_task_whose_loop_is_blocked_is_stuck_whatever_it_waits_for() -> None:
    nodes = (living(1), living(2, thread=True))
    assert deadlocked(nodes, [WaitEdge(1, 2, "loop"), WaitEdge(2, 1, "ends")]) == {1, 2}


def test_a_circle_is_one_hang_with_each_step() -> None:
    ((name, finding),) = found(CIRCLE)
    assert (name, finding.level, finding.live, finding.evidence["waiting"]) == ("deadlock", "hang", 2, 1)
    assert finding.text == "2 tasks have waited for each other for at least 1m40s"
    assert finding.cause is not None
    assert finding.cause.evidence == (
        "task t1 waits at a.py:5 in want for Lock #3",
        "Lock #3 is held by task t2, taken at a.py:3 in take",
        "task t2 waits at a.py:5 in want for Lock #4",
        "Lock #4 is held by task t1, taken at a.py:3 in take",
        "1 more waits behind them",
    )


def test_while_one_of_them_has_moved_lately_it_is_none() -> None:
    young = replace(CIRCLE, nodes=(living(1, NOW - STILL + 1), *CIRCLE.nodes[1:]))
    assert found(young) == []
    assert len(found(replace(young, monotonic=NOW + 1))) == 1


def test_a_thread_that_waits_for_what_it_holds_is_reported_with_what_interrupted_it() -> None:
    edge = replace(held(2, 1), interrupted="finaliser", by=DEL)
    ((name, finding),) = found(WaitGraph(NOW, (living(1, thread=True), lock(2)), (waits(1, 2), edge)))
    assert name == "deadlocked with itself"
    assert finding.text == "thread t1 has waited for at least 1m40s for a lock that it holds itself"
    assert finding.cause is not None
    assert finding.cause.text == "a finaliser, __del__ (b.py:8), ran while take (a.py:3) held the lock"


def test_slots_taken_by_those_that_wait_for_one_are_a_deadlock_of_all_of_them() -> None:
    ways = (waits(1, 3), held(3, 1), waits(2, 3), held(3, 2))
    ((name, finding),) = found(WaitGraph(NOW, (living(1), living(2), slots(3)), ways))
    assert (name, finding.live) == ("deadlock", 2)
    assert finding.text.startswith("all 2 slots of the Semaphore of 2 have been taken for at least 1m40s by")


def test_a_lock_without_an_owner_is_reported_with_the_reason() -> None:
    orphan = replace(lock(2), gone="fork")
    ((name, finding),) = found(WaitGraph(NOW, (living(1, thread=True), orphan), (waits(1, 2),)))
    assert (name, finding.site) == ("owner gone", WANTED)
    assert finding.cause is not None
    assert finding.cause.text == "its owner stayed behind in the parent when this process was forked"


def test_a_pool_without_workers_is_reported_as_a_pool() -> None:
    left = WaitNode(2, "pool", "worker", either=True, gone="fork")
    ((name, finding),) = found(WaitGraph(NOW, (living(1, thread=True), left), (waits(1, 2),)))
    assert name == "owner gone"
    assert finding.text.endswith("for a pool whose workers are gone")
    assert finding.cause is not None
    assert finding.cause.text == "they stayed behind in the parent when this process was forked"


def test_circles_at_one_line_are_one_finding() -> None:
    ways = (waits(1, 2), held(2, 1), waits(3, 4), held(4, 3))
    ((_, finding),) = found(WaitGraph(NOW, (living(1), lock(2), living(3), lock(4)), ways))
    assert finding.live == 2


def rest(since: float = 0.0) -> WaitNode:
    return WaitNode(9, "rest", "", either=True, since=since)


def any_of(waiter: int, how: EdgeKind = "woken") -> WaitEdge:
    return WaitEdge(waiter, 9, how)


STANDSTILL = WaitGraph(
    NOW,
    (living(1), living(2), lock(3), rest()),
    (waits(1, 3), held(3, 2), any_of(2), WaitEdge(9, 1, "woken"), WaitEdge(9, 2, "woken")),
)


def test_where_nothing_can_happen_the_chain_to_the_last_that_waits_is_told() -> None:
    ((name, finding),) = found(STANDSTILL)
    assert (name, finding.level, finding.live) == ("deadlock", "hang", 2)
    assert finding.cause is not None
    assert finding.cause.text.startswith("all else in the process waits too")
    assert len(finding.cause.evidence) == 3


def test_workers_that_wait_for_work_are_no_hang_nor_is_what_moved_a_moment_ago() -> None:
    idle = replace(
        STANDSTILL, nodes=(living(1), living(2), rest()), edges=(any_of(1, "waits"), any_of(2, "waits"))
    )
    joined = replace(idle, edges=(WaitEdge(1, 2, "ends"), any_of(2, "waits"), WaitEdge(9, 1, "woken")))
    moved = replace(STANDSTILL, nodes=(*STANDSTILL.nodes[:3], rest(NOW - STILL + 1)))
    assert [found(each) for each in (idle, joined, moved)] == [[], [], []]


def test_a_lock_that_nobody_who_lives_holds_is_an_orphan_where_nothing_can_happen() -> None:
    edges = (waits(1, 3), any_of(3), any_of(2, "waits"), WaitEdge(9, 1, "woken"), WaitEdge(9, 2, "woken"))
    ((name, finding),) = found(replace(STANDSTILL, edges=edges))
    assert (name, finding.live, finding.evidence["waiting"]) == ("owner gone", 1, 0)
    more = (living(4), living(5))
    behind = (waits(4, 3), WaitEdge(5, 4, "ends"))
    ((_, finding),) = found(replace(STANDSTILL, nodes=(*STANDSTILL.nodes, *more), edges=edges + behind))
    assert finding.live + finding.evidence["waiting"] == 3


def test_a_task_that_nothing_can_wake_is_a_hang_for_who_waits_for_it() -> None:
    lost = replace(living(2), gone="nobody")
    ((name, finding),) = found(WaitGraph(NOW, (living(1), lost), (WaitEdge(1, 2, "ends"),)))
    assert (name, finding.live) == ("deadlock", 2)
    assert finding.cause is not None
    assert finding.cause.text == "nothing that lives can reach what task t2 waits for"


def channel(id: int) -> WaitNode:
    return WaitNode(
        id, "channel", f"room in fd {id}, pipe", text=f"fd {id + 10} of this process", either=True
    )


def process(id: int, since: float = 0.0) -> WaitNode:
    return WaitNode(id, "process", "cat", 4711, since=since, either=True)


FULL_BOTH_WAYS = WaitGraph(
    NOW,
    (living(1, thread=True), channel(2), process(3), channel(4), rest()),
    (
        waits(1, 2),
        WaitEdge(2, 3, "reads"),
        waits(3, 4),
        WaitEdge(4, 9, "woken"),
        WaitEdge(4, 1, "reads"),
        WaitEdge(9, 1, "woken"),
    ),
)


def test_who_waits_for_a_process_that_waits_to_be_read_is_one_hang_with_each_end() -> None:
    ((name, finding),) = found(FULL_BOTH_WAYS)
    assert (name, finding.site, finding.live) == ("deadlock", WANTED, 2)
    assert finding.text == "1 process and 1 thread have waited for each other for at least 1m40s"
    assert finding.cause is not None
    assert finding.cause.evidence == (
        "thread t1 waits at a.py:5 in want for room in fd 2, pipe",
        "process 4711 (cat) has to read its other end",
        "process 4711 (cat) waits for room in fd 4, pipe",
        "thread t1 has to read its other end, fd 14 of this process",
    )


def test_it_is_none_while_the_process_moves_or_anybody_here_does() -> None:
    moved = tuple(
        replace(each, since=NOW) if each.kind == "process" else each for each in FULL_BOTH_WAYS.nodes
    )
    assert found(replace(FULL_BOTH_WAYS, nodes=moved)) == []
    assert found(replace(FULL_BOTH_WAYS, nodes=FULL_BOTH_WAYS.nodes[:-1])) == []


def test_an_end_that_nobody_is_known_to_use_is_told_where_all_stand_still() -> None:
    graph = WaitGraph(
        NOW,
        (living(1, thread=True), channel(2), rest()),
        (waits(1, 2), WaitEdge(2, 9, "woken"), WaitEdge(9, 1, "woken")),
    )
    ((_, finding),) = found(graph)
    assert finding.site == WANTED
    assert finding.cause is not None
    assert finding.cause.text == "all else in the process waits too: nobody is left to use its other end"
    assert finding.cause.evidence[-1] == "nobody is left to read its other end, fd 12 of this process"
