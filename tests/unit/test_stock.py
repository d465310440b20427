"""Which resources pile up: growth over looks, and what keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.analysis.growth import Slope
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns import stock as patterns
from taskscope.analysis.patterns.limits import unexplained
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.analysis.resources import Climb, Movement
from taskscope.analysis.stock import ALWAYS, Stock
from taskscope.model import Frame, Keeper, Resource, Resources, Thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding
    from taskscope.model.vocabulary import Resource as Supply
    from taskscope.model.vocabulary import ResourceKind

MADE = Frame("/app/clients.py", 12, "Client.__init__")
FILLED = Frame("/app/clients.py", 30, "connect")
ONLY_FILLED = Keeper("clients", "list", 9, unread=True, filled=FILLED)
READ = Keeper("clients", "list", 9, filled=FILLED)
EMPTIED = Keeper("Pool.free", "list", 9, emptied=True)

LOOP = Resource("loop", "asyncio.unix_events._UnixSelectorEventLoop", 0, "stopped", frame=MADE, users=1)
GENERATOR = Resource("generator", "prices", 0, "suspended", frame=MADE)
STREAM = Resource("transport", "StreamReaderProtocol", 0, "open", "_SelectorSocketTransport")
FORGOTTEN = replace(STREAM, alone=6, inspected=6)
PROTOCOL = replace(FORGOTTEN, name="Echo")
ZOMBIE = Resource("subprocess", "convert", 0, "ended")
CHILD = Resource("subprocess", "recorder", 0, "running")
CONTEXT = Resource("context", "unit", 0, detail="bytearray", users=3, each=100_000, variables=1)

EVERY: tuple[ResourceKind, ...] = (*ALWAYS, "transport", "context", "descriptor")


def watch(
    row: Resource,
    count: Callable[[float], int],
    seconds: int,
    keeper: Keeper | None = None,
    threads: tuple[Thread, ...] = (),
    started: float = 0.0,
    **more: Callable[[float], Any],
) -> list[tuple[Finding, ...]]:
    """What is said at each look, every five seconds, of so many; ``more``: other fields at that time.

    ``started``: when the process did; the first look is at 1,000.
    """
    judged, said = Stock(started), []
    for second in range(0, seconds, 5):
        now = 1000.0 + second
        fields: dict[str, Any] = {name: of(second) for name, of in more.items()}
        seen = replace(row, count=count(second), **fields)
        judged.add(Resources(now, (seen,)), EVERY)
        if judged.wanted is not None:
            assert row.kind in judged.wanted.kinds
            assert judged.wanted.keeps <= seen.count
            judged.inspect(Resources(now, (replace(seen, keeper=keeper),)))
        facts = ProcessFacts(now, (), threads, (), Onset(0.0), piled=judged.found(threads))
        said.append(tuple(each for pattern in patterns.PATTERNS for each in pattern.find(facts)))
    return said


def steady(second: float) -> int:
    return 20 + int(second)


def levels(said: list[tuple[Finding, ...]]) -> set[str]:
    return {each.level for findings in said for each in findings}


@pytest.mark.parametrize(
    ("row", "keeper", "pattern"),
    [
        (LOOP, ONLY_FILLED, "event loops never closed"),
        (LOOP, READ, "event loops never closed"),
        (GENERATOR, ONLY_FILLED, "async generators left open"),
        (STREAM, ONLY_FILLED, "connections without an owner"),
        (FORGOTTEN, None, "connections without an owner"),
        (ZOMBIE, ONLY_FILLED, "children not waited for"),
        (CHILD, ONLY_FILLED, "children never ended"),
    ],
)
def test_what_grows_and_cannot_end_is_a_leak_within_a_minute(
    row: Resource, keeper: Keeper | None, pattern: str
) -> None:
    said = watch(row, steady, 70, keeper)
    (finding,) = said[-1]
    assert (finding.level, finding.kind, finding.live) == ("leak", "resource", 85)
    assert finding.rate_per_min == pytest.approx(60, rel=0.1)
    assert finding.cause is not None
    assert finding.cause.pattern == pattern
    assert finding.site == (row.frame or (FILLED if keeper else Frame("", 0, row.name, "stdlib")))


@pytest.mark.parametrize("row", [LOOP, GENERATOR, STREAM, CHILD])
def test_what_its_keeper_also_gives_back_is_suspected_late_at_most(row: Resource) -> None:
    said = watch(row, steady, 300, EMPTIED)
    assert levels(said[:13]) == set()
    assert levels(said) == {"suspect"}


@pytest.mark.parametrize("row", [GENERATOR, STREAM, ZOMBIE])
def test_what_the_program_may_still_come_back_to_is_a_leak_late(row: Resource) -> None:
    said = watch(row, steady, 300, READ)
    assert levels(said[:15]) == set()
    assert {each.level for each in said[-1]} == {"leak"}


@pytest.mark.parametrize("row", [GENERATOR, STREAM, PROTOCOL, CHILD])
def test_what_nothing_is_seen_to_keep_is_in_use(row: Resource) -> None:
    assert levels(watch(row, steady, 300)) == set()


@pytest.mark.parametrize("row", [LOOP, GENERATOR, FORGOTTEN, ZOMBIE, CHILD, CONTEXT])
def test_what_fills_up_goes_up_and_down_or_is_few_is_nothing(row: Resource) -> None:
    assert "leak" not in levels(watch(row, lambda second: min(12, int(second / 2)), 300, READ))
    assert "leak" not in levels(watch(row, lambda second: 5 + int(second) % 40, 300, READ))
    assert levels(watch(row, lambda second: 1 + (second > 60), 300, READ)) == set()


@pytest.mark.parametrize("row", [LOOP, GENERATOR, STREAM, ZOMBIE, CHILD])
def test_what_cannot_end_and_grew_as_fast_before_is_a_leak_within_fifteen_seconds(row: Resource) -> None:
    def as_ever(second: float) -> int:
        return 100 + int(second)

    (finding,) = watch(row, as_ever, 20, ONLY_FILLED, started=900.0)[-1]
    assert (finding.level, finding.since_estimated, finding.since_at_least) == ("leak", True, False)
    assert finding.since == pytest.approx(900, abs=5)
    faster = watch(row, as_ever, 40, ONLY_FILLED, started=500.0)  # they were started with the service
    assert "leak" not in levels(faster)
    assert "leak" not in levels(watch(row, as_ever, 40, EMPTIED, started=900.0))


def test_children_are_judged_by_their_births_however_few_come_while_one_looks() -> None:
    """The kernel knows when each was started."""
    births = tuple(905.0 + 10 * at for at in range(10))

    def said(seconds: int, count: Callable[[float], int], *told: float) -> set[str]:
        found = watch(CHILD, count, seconds, ONLY_FILLED, started=900.0, births=lambda _: told)
        return {each.level for each in found[-1]}

    def slowly(second: float) -> int:
        return 10 + int((second + 5) / 10)

    assert said(25, slowly, *births) == {"leak"}
    assert said(25, slowly) == {"suspect"}
    assert said(25, slowly, *births[5:]) == {"suspect"}  # others may have ended before
    assert said(100, lambda _: 10, *births) == set()


def test_older_loops_that_are_found_late_are_no_growth_and_tell_of_the_past() -> None:
    """A search finds them, after the first look."""

    def older(second: float) -> int:
        return 100 * (second >= 10)

    still = watch(LOOP, lambda second: 5 + older(second), 100, ONLY_FILLED, started=900.0, older=older)
    assert levels(still) == set()
    grows = watch(
        LOOP, lambda second: 1 + int(second) + older(second), 30, ONLY_FILLED, started=900.0, older=older
    )
    assert [each.level for each in grows[-1]] == ["leak"]
    assert grows[-1][0].cause is not None
    assert "100 are older than the agent, presumably made there too" in grows[-1][0].cause.evidence


def test_a_loop_for_each_thread_is_nothing() -> None:
    assert levels(watch(LOOP, steady, 200, READ, users=steady)) == set()


def test_zombies_are_only_suspected_while_a_thread_waits_for_a_child() -> None:
    waiter = Thread(
        1, 1, "reaper", False, True, None, None, None, None, "waiting", "", None, None, None, wait="process"
    )
    assert levels(watch(ZOMBIE, steady, 200, None, (waiter,))) == {"suspect"}
    assert levels(watch(ZOMBIE, steady, 200)) == {"leak"}


def test_zombies_of_which_the_oldest_is_young_are_waited_for_now_and_then() -> None:
    """However the looks fall: of those that rise and fall as regularly they may only see the rise."""
    assert levels(watch(ZOMBIE, steady, 300, since=lambda second: 1000.0 + second - 15)) == set()
    assert "leak" in levels(watch(ZOMBIE, steady, 300, since=lambda _: 990.0))


def test_a_context_variable_made_again_and_again_is_a_leak() -> None:
    said = watch(CONTEXT, steady, 70, variables=steady)
    (finding,) = said[-1]
    assert (finding.level, finding.coroutine) == ("leak", "unit")
    assert "8.5 MB" in finding.text
    assert finding.rate_per_min == pytest.approx(60, rel=0.1)
    assert finding.evidence["bytes_per_min"] == pytest.approx(6_000_000, rel=0.1)
    assert finding.cause is not None
    assert any("not once at module level" in each for each in finding.cause.evidence)


def test_values_that_grow_are_suspected_and_those_of_more_tasks_are_not() -> None:
    said = watch(CONTEXT, lambda _: 3, 300, each=lambda second: 100_000 * (1 + int(second)))
    assert levels(said) == {"suspect"}
    assert levels(watch(CONTEXT, steady, 300, users=steady, variables=lambda _: 1)) == set()


def test_a_leak_that_stops_is_no_leak_any_more() -> None:
    said = watch(LOOP, lambda second: steady(min(second, 60)), 400, ONLY_FILLED)
    assert "leak" in levels(said[:15])
    assert said[-1] == ()


def climb(resource: Supply, rate: float) -> Climb:
    return Climb(resource, 10**9, 10**8, Slope(rate, rate, rate), Onset(0.0), (), None, True, True)


def test_connections_are_counted_while_descriptors_climb_and_contexts_while_memory_does() -> None:
    judged = Stock(0.0)
    assert judged.kinds(()) == ALWAYS
    assert judged.kinds([climb("fds", 60.0)]) == (*ALWAYS, "transport", "descriptor")
    assert judged.kinds([climb("rss", 60.0)]) == (*ALWAYS, "context")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (FORGOTTEN, ["transport"]),
        (replace(STREAM, keeper=ONLY_FILLED), []),
        (replace(STREAM, keeper=READ), []),
    ],
)
def test_of_what_climbs_with_tasks_only_that_is_told_which_no_task_can_have(
    known: Resource, told: list[str]
) -> None:
    judged = Stock(0.0)
    with_tasks = replace(climb("fds", 60.0), movements=(Movement(1, "fds", 0.99, 1.0),))
    for now in range(0, 400, 5):
        kinds = judged.kinds([with_tasks])
        assert "transport" in kinds
        row = replace(known, count=steady(now))
        judged.add(Resources(float(now), (row,)), kinds)
        judged.inspect(Resources(float(now), (row,)))
    assert [each.row.kind for each in judged.found()] == told


def test_what_was_not_counted_this_time_is_not_forgotten() -> None:
    judged = Stock(0.0)
    for now in range(0, 100, 5):
        rows = (replace(LOOP, count=steady(now)),) if now % 10 else (replace(STREAM, count=40),)
        judged.add(Resources(float(now), rows), ("transport",) if not now % 10 else ("loop",))
        judged.inspect(Resources(float(now), (replace(LOOP, count=steady(now), keeper=ONLY_FILLED),)))
    assert [each.row.kind for each in judged.found()] == ["loop"]


def test_loops_explain_the_descriptors_that_they_take() -> None:
    judged = Stock(0.0)
    for now in range(0, 100, 5):
        judged.add(Resources(float(now), (replace(LOOP, count=steady(now)),)), ALWAYS)
        judged.inspect(Resources(float(now), (replace(LOOP, count=steady(now), keeper=ONLY_FILLED),)))
    piles = [each.grown for each in judged.found()]
    assert unexplained([climb("fds", 180.0)], 100.0, piles) == ()
    assert len(unexplained([climb("fds", 1800.0)], 100.0, piles)) == 1


def test_descriptors_that_grow_are_named() -> None:
    socket = Resource("descriptor", "tcp", 300, "open", "to 10.0.0.5:5432")
    (finding,) = unexplained([climb("fds", 60.0)], 100.0, (), (socket,))
    assert finding.cause is not None
    assert finding.cause.evidence[0] == "300 open: tcp to 10.0.0.5:5432"
