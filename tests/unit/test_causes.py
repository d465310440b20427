"""Each reason why tasks do not end is named on its own evidence, and never without."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.analysis.causes import explain
from taskscope.analysis.patterns import OF_TASKS
from taskscope.analysis.strength import Strength
from taskscope.model import (
    Bound,
    Counts,
    Descriptor,
    Frame,
    Keeper,
    Mark,
    ParkedGroup,
    Reach,
    SiteFacts,
    WaitObject,
)
from tests.unit.shapes import site

if TYPE_CHECKING:
    from taskscope.model import Cause
    from taskscope.model.vocabulary import SiteKind, Wait

PLACE = Frame("/app/service.py", 40, "work")


def group(wait: Wait, live: int, text: str = "", left: tuple[float, float] | None = None) -> ParkedGroup:
    low, high = left if left is not None else (None, None)
    return ParkedGroup(f"{wait}|{live}", PLACE, wait, text or wait, live, 1.0, low, high)


def facts(
    sampled: int = 40, *groups: ParkedGroup, moved: int = 0, **more: Any
) -> tuple[SiteFacts, SiteFacts]:
    """Two looks at a site, between which ``moved`` of its tasks have moved."""
    before = tuple(Mark(serial, serial) for serial in range(sampled))
    after = tuple(Mark(serial, serial + (1000 if serial < moved else 0)) for serial in range(sampled))
    later = SiteFacts(0, 60.0, more.pop("live", sampled), (), sampled, marks=after, groups=groups, **more)
    return later, dataclasses.replace(later, monotonic=50.0, marks=before)


def cause(found: tuple[SiteFacts, SiteFacts], kind: SiteKind = "task") -> Cause:
    named, _ = explain(site(0, kind), *found)
    assert named is not None
    return named


def strength(
    found: tuple[SiteFacts, SiteFacts], kind: SiteKind = "task", *, never: bool = False, some: bool = False
) -> Strength:
    return explain(site(0, kind), *found, never=never, some=some)[1]


SLEEPERS = facts(40, group("sleep", 40, "asyncio.sleep", (0.0, 300.0)), unheld=40, orphans=40)
ORPHANS = facts(40, group("sleep", 30), group("socket", 10), moved=30, orphans=36, unheld=40, looping=40)
FORGOTTEN = facts(40, group("future", 40), unheld=40)
TWICE = facts(
    40, group("sleep", 40), moved=30, looping=40, unheld=30, bound=(Bound("ChaosController", 4, 4),)
)
OVERLAP = facts(40, group("queue.get", 30), group("event", 10), cancelling=10)
QUEUE = WaitObject("queue.put", "Queue", 40, 8, 8, 0, 40, 3)
HANDING = facts(40, group("queue.put", 38), waits=(QUEUE,))
UNSETTABLE = facts(
    40, group("event", 40), waits=tuple(WaitObject("event", "Event", 8, outside=0) for _ in range(5))
)
STUCK = facts(
    2,
    group("event", 2),
    waits=(WaitObject("event", "Event", 2, outside=1),),
    reach=Reach(60.0, 0.01, 2, stuck=2),
)
HALF_STUCK = facts(9, group("future", 9), reach=Reach(60.0, 0.01, 9, stuck=1, by=("Client.replies[7]",)))
CYCLE = facts(4, group("task", 4), cycles=4, awaited=4)
OWN_QUEUES = tuple(WaitObject("queue.get", "Queue", 1, 0, 0, 1, 0, 2) for _ in range(5))
UNFED = facts(40, group("queue.get", 40), waits=OWN_QUEUES)
UNFED_ORPHANS = facts(40, group("queue.get", 40), waits=OWN_QUEUES, orphans=40, unheld=40, awaited=30)
GARBAGE = facts(40, group("future", 40), waits=(WaitObject("future", "Future", 1, outside=0),), unheld=40)
BLOCKED = facts(40, group("executor", 40))
LOCKED = facts(40, group("lock", 40), waits=(WaitObject("lock", "Lock", 40, outside=2),))
LOSERS = facts(40, group("event", 40), left=40, unheld=40)
SLEEPING_LOSERS = facts(40, group("sleep", 40, left=(0.0, 300.0)), left=40, unheld=40)
SILENT = facts(40, group("socket", 40))


@pytest.mark.parametrize(
    ("seen", "pattern", "expected"),
    [
        (SLEEPERS, "sleeper per event", Strength.CANNOT_END),
        (ORPHANS, "orphan", Strength.PERMANENT),
        (FORGOTTEN, "fire and forget", Strength.PERMANENT),
        (TWICE, "started twice", Strength.REPEATED),
        (LOSERS, "race loser", Strength.PERMANENT),
        (SLEEPING_LOSERS, "race loser", Strength.CANNOT_END),
        (STUCK, "nobody can set it", Strength.PROVEN),
        (OVERLAP, "generations overlap", Strength.CANNOT_END),
        (HANDING, "stuck handing over", Strength.CANNOT_END),
        (UNSETTABLE, "nobody can set it", Strength.PERMANENT),
        (CYCLE, "await cycle", Strength.CANNOT_END),
        (UNFED, "nobody feeds it", Strength.NONE),
        (UNFED_ORPHANS, "nobody feeds it", Strength.PERMANENT),
        (BLOCKED, "blocking call", Strength.PERMANENT),
        (LOCKED, "lock not released", Strength.PERMANENT),
        (GARBAGE, "left to the collector", Strength.UNLIKELY),
        (SILENT, "waits for a peer", Strength.OPEN_ENDED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_pattern_is_named_with_its_evidence_and_the_usual_fix(
    seen: tuple[SiteFacts, SiteFacts], pattern: str, expected: Strength
) -> None:
    named = cause(seen)
    assert named.pattern == pattern
    assert named.explanation in [
        f"{each.explanation} {each.remedy}" for each in OF_TASKS if each.name == pattern
    ]
    assert named.evidence
    assert strength(seen) == expected


def test_tasks_that_hang_in_their_cleanup_say_where_and_who_can_end_that() -> None:
    def seen(*groups: ParkedGroup) -> tuple[SiteFacts, SiteFacts]:
        setter = Frame("/app/reader.py", 40, "start")
        return facts(40, *groups, cancelling=10, setter=setter)

    healthy = group("queue.get", 30)
    cleanup = dataclasses.replace(group("event", 10, "Event.wait"), cancelling=10)
    assert cause(seen(healthy, cleanup)).text == (
        "10 were cancelled and hang in their cleanup: they wait at service.py:40 in work (Event.wait); "
        "what they wait for is up to the threads started at reader.py:40"
    )
    assert "First end what they wait for" in cause(seen(healthy, cleanup)).explanation
    swallows = dataclasses.replace(group("queue.get", 40), cancelling=10)
    assert cause(seen(swallows)).text == "10 ignored cancel() while replacements started"


def test_all_behind_one_name_what_the_holder_of_their_lock_waits_for() -> None:
    holder = dataclasses.replace(group("future", 1, "a bare Future"), frame=Frame("/app/b.py", 34, "ask"))
    found = facts(40, group("lock", 39), group("future", 1), unheld=40, holder=holder)
    assert cause(found).text == (
        "all wait behind one: it has the lock and waits at b.py:34 in ask (a bare Future); "
        "39 of 40 wait for the lock"
    )
    assert strength(found) == Strength.PERMANENT
    moves = facts(40, group("lock", 39), group("future", 1), unheld=40, holder=holder, moved=30)
    assert cause(moves).pattern == "fire and forget"


def test_what_is_advised_for_orphans_is_not_done_already() -> None:
    kept = facts(40, group("sleep", 40), orphans=40, looping=40)
    assert "stored already" in cause(kept).explanation
    assert "Store the task" in cause(ORPHANS).explanation
    workers = facts(40, group("queue.get", 40), orphans=40, looping=40, conditional=40, waits=OWN_QUEUES)
    assert "end marker" in cause(workers).explanation
    assert cause(workers).text.endswith("they do not see the condition of their loop while they wait")


def test_a_socket_closed_under_its_reader_is_conclusive() -> None:
    found = facts(40, group("socket", 40), unheld=40, looping=40, closed=10)
    assert cause(found, "thread").pattern == "closed under its reader"
    assert strength(found, "thread") == Strength.CANNOT_END
    closing = facts(40, group("socket", 40), unheld=40, looping=40, closed=1)
    assert cause(closing, "thread").pattern != "closed under its reader"


def test_of_several_queues_the_state_of_one_is_not_told_as_that_of_all() -> None:
    one = facts(
        14, group("queue.put", 14), waits=(WaitObject("queue.put", "Queue", 2, 1, 1, 0, 2, 3),), things=7
    )
    said = "they wait on 7 queues, of which one holds 1 of 1; 0 getters and 2 putters waiting"
    assert said in cause(one).evidence


@pytest.mark.parametrize(
    ("live", "owners", "said"),
    [
        (6_400, 1_600, "about 4 loops on each of 1,600 ChaosControllers"),
        (90_000, 4_000, "at least 4 loops on one ChaosController"),
    ],
)
def test_how_often_it_was_started_is_told_as_exactly_as_it_is_known(
    live: int, owners: int, said: str
) -> None:
    many = (Bound("ChaosController", 4, 4),)
    found = facts(
        40, group("sleep", 40), moved=30, looping=40, unheld=30, bound=many, live=live, owners=owners
    )
    assert said in cause(found).text
    assert f"5,000 run on {owners:,} ChaosControllers, up to 4 of these on one" in cause(found).evidence[0]


def test_race_losers_are_recognised_by_those_whose_creation_was_observed() -> None:
    seen = facts(40, group("event", 40), left=10, rootless=30)
    assert cause(seen).pattern == "race loser"
    assert cause(facts(40, group("event", 40), left=10)).pattern != "race loser"


def test_two_loops_on_one_object_name_its_type() -> None:
    expected = "started again while it runs: 4 loops on one ChaosController, started in run"
    assert cause(TWICE).text == expected


def test_workers_that_their_pool_keeps_were_not_started_twice() -> None:
    """A pool that scales up calls the same function for each; a second start loses the first task."""
    later, before = (dataclasses.replace(each, unheld=1) for each in TWICE)
    assert cause((later, before)).pattern == "unknown"


def test_loops_that_sleep_before_they_begin_are_still_started_twice() -> None:
    seen = facts(40, group("sleep", 40), looping=15, unheld=20, bound=(Bound("ChaosController", 2, 2),))
    assert cause(seen).pattern == "started twice"


def test_the_queue_says_how_full_it_is_and_who_waits() -> None:
    assert "the queue holds 8 of 8; 0 getters and 40 putters waiting" in cause(HANDING).evidence


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (0, "none of 40 looked at again after 10 s has moved"),
        (1, "1 of 40 looked at again after 10 s has moved"),
        (9, "9 of 40 looked at again after 10 s have moved"),
        (40, "all 40 looked at again after 10 s have moved"),
    ],
)
def test_the_number_of_moved_tasks_reads_right(moved: int, said: str) -> None:
    assert said in cause(facts(40, group("event", 40), moved=moved)).evidence


def test_tasks_the_agent_has_forgotten_in_between_are_not_said_to_have_moved() -> None:
    """All places are numbered anew then: each of 104 tasks that never move seemed to have moved."""
    later, before = facts(40, group("event", 40), moved=40)
    anew = tuple(dataclasses.replace(mark, known=50.0) for mark in later.marks)
    before = dataclasses.replace(before, monotonic=40.0)
    seen = cause((dataclasses.replace(later, marks=anew), before))
    assert not [text for text in seen.evidence if "moved" in text]


def test_one_task_and_one_share_read_right_in_number() -> None:
    one = cause(facts(1, group("event", 1), unheld=1)).evidence
    assert one[1] == "the only task is referenced only by what it waits for"
    many = cause(facts(40, group("event", 40), unheld=1, orphans=40)).evidence
    assert many[1:3] == (
        "all 40 tasks were created by a task that has ended",
        "1 of 40 tasks is referenced only by what it waits for",
    )


def test_a_queue_that_is_served_however_slowly_is_not_one_that_nobody_reads() -> None:
    later, before = facts(40, group("queue.put", 38), waits=(QUEUE,), examples=(7, 8, 9))
    assert cause((later, before)).pattern == "stuck handing over"
    assert cause((dataclasses.replace(later, examples=(8, 9)), before)).pattern != "stuck handing over"


def test_sleepers_say_how_long_they_still_sleep() -> None:
    first = cause(SLEEPERS).evidence[0]
    assert first == "all 40 tasks are parked at service.py:40 in work: asyncio.sleep, 0 to 300 s left"


@pytest.mark.parametrize(
    "seen",
    [
        facts(40, group("queue.get", 40), looping=40, bound=(Bound("Pool", 40, 40),),
              waits=(WaitObject("queue.get", "Queue", 40, 0, 0, 40, 0, 2),)),
        facts(40, group("gather", 40), awaited=40),
    ],
    ids=["a pool at rest", "children that somebody awaits"],
)  # fmt: skip
def test_pools_and_work_in_progress_speak_against_a_leak(seen: tuple[SiteFacts, SiteFacts]) -> None:
    assert strength(seen) == Strength.UNLIKELY


def test_callers_at_the_queue_of_an_exhausted_pool_are_not_at_rest() -> None:
    """They take one item and would then run to their end."""
    seen = facts(40, group("queue.get", 40), waits=(WaitObject("queue.get", "Queue", 40, 0, 0, 40, 0, 2),))
    assert cause(seen).pattern == "nobody feeds it"
    assert strength(seen, never=True) == Strength.PERMANENT


def test_tasks_that_never_moved_are_a_sign_but_for_connections() -> None:
    still = facts(40, group("event", 40), bound=())
    assert strength(still, never=True) == Strength.PERMANENT
    assert strength(SILENT, never=True) == Strength.OPEN_ENDED


def test_tasks_that_await_others_are_judged_by_those() -> None:
    own = tuple(WaitObject("gather", "_GatheringFuture", 1, outside=1) for _ in range(5))
    seen = facts(40, group("gather", 40), waits=own)
    assert strength(seen, never=True) == Strength.NONE


def test_short_sleepers_are_left_to_reach_their_number() -> None:
    for left, live, expected in (
        (5.0, 40, Strength.NONE),
        (90.0, 40, Strength.NONE),
        (90.0, 2000, Strength.CANNOT_END),
        (600.0, 40, Strength.CANNOT_END),
    ):
        seen = facts(40, group("sleep", 40, left=(0.0, left)), unheld=40, live=live)
        assert strength(seen) == expected


def test_tasks_of_which_most_have_ended_are_no_sleepers_that_pile_up() -> None:
    """A few of those that queue for a rate limit, looked at while they happen to sleep."""
    for ended, expected in ((30, "sleeper per event"), (56, "unknown")):
        named, _ = explain(site(0), *facts(40, group("sleep", 40)), counts=Counts(40, 40 + ended, ended))
        assert named is not None
        assert named.pattern == expected


def test_a_ticker_for_each_is_no_sleeper_for_each() -> None:
    assert cause(facts(40, group("sleep", 40), moved=30, looping=40, awaited=40)).pattern == "unknown"


def test_requests_to_end_that_are_under_way_are_no_overlap() -> None:
    seen = facts(40, group("sleep", 40), cancelling=4)
    fresh = seen[0], dataclasses.replace(seen[1], cancelling=0)
    assert cause(fresh).pattern != "generations overlap"


def test_where_no_pattern_matches_only_the_place_is_named() -> None:
    named = cause(facts(40, group("condition", 20), group("socket", 20), moved=40))
    assert (named.pattern, named.explanation) == ("unknown", "")
    assert named.text == "20 of 40 wait at service.py:40 in work (condition)"


def test_nothing_looked_into_names_nothing() -> None:
    assert explain(site(0), None, None) == (None, Strength.NONE)
    assert explain(site(0), SiteFacts(0, 1.0, 0, ()), None) == (None, Strength.NONE)


def test_parents_that_are_not_known_are_no_evidence_against_orphans() -> None:
    """Tasks older than the agent have no known parent."""
    assert (
        cause(facts(40, group("sleep", 40), moved=40, orphans=8, rootless=30, looping=40)).pattern == "orphan"
    )


def test_threads_that_wait_to_be_told_to_stop_are_distinguished_from_connections_in_use() -> None:
    inside = Strength.PERMANENT
    words: tuple[tuple[Wait, Strength], ...] = (
        ("condition", inside),
        ("job", inside),
        ("socket", Strength.OPEN_ENDED),
        ("unknown", Strength.NONE),
    )
    for word, expected in words:
        seen = facts(40, group(word, 40, "waits for an event"))
        assert strength(seen, "thread") == expected


@pytest.mark.parametrize(("pools", "said"), [(20, "20 executors"), (5, "at least 5 executors")])
def test_a_count_says_at_least_only_where_more_may_be_left_out(pools: int, said: str) -> None:
    seen = facts(40, group("job", 40), bound=tuple(Bound("ThreadPoolExecutor", 2, 2) for _ in range(pools)))
    assert cause(seen, "thread").text.startswith(f"{said} were created here")


@pytest.mark.parametrize(("live", "said"), [(40, "40 share one Room"), (6_000, "at least 40 share one Room")])
def test_of_more_tasks_than_are_inspected_those_that_share_an_object_are_at_least_that_many(
    live: int, said: str
) -> None:
    seen = facts(40, group("sleep", 40), bound=(Bound("Room", 40, 1),), looping=40, orphans=40, live=live)
    assert said in cause(seen).evidence


@pytest.mark.parametrize(
    ("ended", "said"), [(0, "every thread started here stays"), (94, "40 of 134 threads started here stay")]
)
def test_threads_are_said_to_stay_only_as_far_as_they_do(ended: int, said: str) -> None:
    seen = facts(40, group("queue.get", 40))
    named, _ = explain(site(0, "thread"), *seen, counts=Counts(40, 40 + ended, ended))
    assert named is not None
    assert named.text.startswith(f"{said}; all 40 wait at ")


def test_executors_made_for_each_call_are_distinguished_from_one_big_pool() -> None:
    idle = group("job", 40)
    per_call = facts(40, idle, bound=tuple(Bound("ThreadPoolExecutor", 2, 2) for _ in range(5)))
    assert cause(per_call, "thread").pattern == "pool per call"
    one = facts(40, idle, bound=(Bound("ThreadPoolExecutor", 40, 40),))
    named = cause(one, "thread")
    assert (named.pattern, strength(one, "thread")) == ("one pool", Strength.BOUNDED)


def test_workers_that_were_seen_at_their_queue_were_not_started_twice() -> None:
    """A pool grows when all its workers are busy."""
    named, shown = explain(site(0), *TWICE, workers=True)
    assert named is not None
    assert (named.pattern, shown) == ("unknown", Strength.UNLIKELY)


def test_race_losers_are_as_strong_as_the_next_cause_and_workers_are_no_loop_started_twice() -> None:
    losers = tuple(dataclasses.replace(each, left=40) for each in TWICE)
    named = [explain(site(0), losers[0], losers[1], workers=workers) for workers in (False, True)]
    assert [cause.pattern for cause, _ in named if cause is not None] == ["race loser", "race loser"]
    assert [shown for _, shown in named] == [Strength.REPEATED, Strength.UNLIKELY]


def test_children_of_one_group_that_wait_each_for_their_own_may_be_stuck() -> None:
    apart = facts(40, group("queue.get", 40), awaited=40, waits=OWN_QUEUES)
    together = facts(40, group("event", 40), awaited=40, waits=(WaitObject("event", "Event", 40, outside=2),))
    assert strength(apart, never=True) == Strength.PERMANENT
    assert strength(together, never=True) == Strength.UNLIKELY


def test_connections_in_use_whose_opener_has_ended_are_no_orphans_to_worry_about() -> None:
    seen = facts(40, group("socket", 40), moved=35, looping=40, orphans=40)
    assert (cause(seen).pattern, strength(seen)) == ("orphan", Strength.OPEN_ENDED)


def test_the_proof_is_told() -> None:
    assert cause(STUCK).text == "nothing can wake them: no living code can reach the Event they wait for"
    assert cause(STUCK).proof == "all 2 traced are stuck: nothing can wake them"
    assert cause(HALF_STUCK).proof == "1 of 9 traced is stuck: nothing can wake it"
    assert "may be woken through Client.replies[7]" in cause(HALF_STUCK).evidence


def test_a_wait_that_a_timer_ends_is_not_permanent() -> None:
    """A poll that gives up after a while, on an event that it alone knows."""
    polls = (40, group("event", 40))
    waits = tuple(WaitObject("event", "Event", 8, outside=0) for _ in range(5))
    timed = facts(*polls, waits=waits, reach=Reach(60.0, 0.01, 20, 0, timed=20))
    assert cause(facts(*polls, waits=waits)).pattern == "nobody can set it"
    assert cause(timed).pattern == "unknown"
    assert strength(timed, never=True) == Strength.OPEN_ENDED


def test_waiters_for_a_lock_that_nothing_gives_back_are_told_about_the_lock() -> None:
    found = facts(40, group("lock", 40), reach=Reach(60.0, 0.01, 20, stuck=20))
    assert cause(found).pattern == "lock not released"
    assert strength(found) == Strength.PROVEN


def test_tasks_that_all_get_work_are_in_use() -> None:
    found = facts(40, group("socket", 40), moved=20)
    assert explain(site(0), *found, used=True)[1] == Strength.IN_USE
    timers = facts(40, group("sleep", 40), moved=20)  # time moves them, not work
    assert explain(site(0), *timers, used=True)[1] != Strength.IN_USE


def test_a_container_that_grows_with_its_tasks_is_named_where_nothing_else_is() -> None:
    keeper = Keeper("Hub._clients", "dict", 40, "app.hub", None)
    later, before = facts(40, group("future", 40), keeper=keeper)
    before = dataclasses.replace(before, keeper=dataclasses.replace(keeper, size=30))
    found = cause((later, before))
    assert found.pattern == "held by a growing container"
    assert "Hub._clients (dict of at least 40, growing) of the Hub in module app.hub" in found.text
    assert cause((later, later)).pattern == "unknown"


def test_orphans_that_a_growing_container_keeps_are_named_by_it() -> None:
    keeper = Keeper("Desk.tasks", "set", 40, "desk", None)
    later, before = facts(40, group("event", 40), orphans=40, keeper=keeper)
    assert cause((later, before)).pattern == "orphan"
    before = dataclasses.replace(before, keeper=dataclasses.replace(keeper, size=30))
    assert cause((later, before)).pattern == "held by a growing container"
    assert strength((later, before)) == Strength.PERMANENT  # as of orphans


def test_tasks_are_not_forgotten_where_a_container_keeps_what_they_wait_for() -> None:
    keeper = Keeper("Shop.orders", "dict", 40, "shop", None)
    reached = (
        dataclasses.replace(each, reach=Reach(60.0, 0.01, 9, 0, by=("Shop.orders",))) for each in FORGOTTEN
    )
    assert cause(tuple(reached)).pattern == "unknown"  # type: ignore[arg-type]
    later, before = (dataclasses.replace(each, keeper=keeper) for each in FORGOTTEN)
    assert cause((later, before)).pattern == "unknown"
    found = cause((later, dataclasses.replace(before, keeper=dataclasses.replace(keeper, size=30))))
    assert found.pattern == "held by a growing container"
    held = (
        "what they wait for is held by Shop.orders (dict of at least 40, growing) of the Shop in module shop"
    )
    assert found.held == held


def test_threads_that_get_work_are_no_forgotten_ones() -> None:
    idle = facts(16, group("queue.get", 16))
    assert strength(idle, "thread") == Strength.PERMANENT
    assert strength(facts(16, group("queue.get", 16), moved=8), "thread") == Strength.UNLIKELY
    later, _ = idle
    assert explain(site(0, "thread"), later, None)[1] == Strength.NONE  # whether they do is not seen yet


def test_those_that_one_task_created_before_it_ended_are_a_start_up_and_no_orphans() -> None:
    found = facts(40, group("sleep", 40), moved=30, orphans=40, creators=1, looping=40)
    assert cause(found).pattern != "orphan"
    assert strength(found) == Strength.UNLIKELY


def test_loops_that_may_end_in_any_round_are_not_taken_for_permanent() -> None:
    found = facts(40, group("sleep", 40), moved=40, orphans=40, looping=40, conditional=40)
    assert cause(found).pattern == "orphan"
    assert strength(found) == Strength.NONE
    standing = facts(40, group("sleep", 40), orphans=40, looping=40, conditional=40)
    assert strength(standing) == Strength.PERMANENT


def test_threads_that_get_data_now_and_then_are_in_use() -> None:
    found = facts(40, group("socket", 40), moved=30)
    assert explain(site(0, "thread"), *found, used=True)[1] == Strength.IN_USE
    assert explain(site(0, "thread"), *found)[1] == Strength.UNLIKELY


def test_a_descriptor_that_one_waits_on_is_evidence() -> None:
    on = Descriptor(7, "tcp", "10.0.0.2:5000", "10.0.0.1:443", 0)
    found = cause(facts(40, group("socket", 40), descriptors=(on,)))
    assert "one waits on fd 7, tcp to 10.0.0.1:443 from 10.0.0.2:5000, 0 bytes unread" in found.evidence
    moved = cause(facts(40, group("socket", 40), descriptors=(on,), moved=40)).evidence
    assert "one waits on fd 7, tcp to 10.0.0.1:443 from 10.0.0.2:5000" in moved
    assert "all 40 looked at again after 10 s have moved: something still comes" in moved


UNREAD = Keeper("clients of module __main__", "list", 40, unread=True)


def test_loops_that_are_kept_where_the_program_never_looks_are_permanent() -> None:
    polls = (40, group("sleep", 40))
    assert strength(facts(*polls, moved=40, looping=40, keeper=UNREAD)) == Strength.PERMANENT
    read = dataclasses.replace(UNREAD, unread=False)
    assert strength(facts(*polls, moved=40, looping=40, keeper=read)) == Strength.UNLIKELY
    assert strength(facts(*polls, moved=40, keeper=UNREAD)) == Strength.UNLIKELY  # they may end
    asks = facts(*polls, moved=40, looping=40, conditional=40, keeper=UNREAD)
    assert strength(asks) == Strength.PERMANENT  # they may end, but not leave it
    sockets = facts(40, group("socket", 40), moved=40, looping=40, keeper=UNREAD)
    assert strength(sockets) == Strength.OPEN_ENDED
    assert strength(facts(40, group("future", 40), keeper=UNREAD)) == Strength.PERMANENT


def connections(*remotes: str, moved: int = 0) -> tuple[SiteFacts, SiteFacts]:
    """Tasks that wait on connections, kept where the program never looks."""
    on = tuple(Descriptor(at, "tcp", "10.0.0.2:80", remote) for at, remote in enumerate(remotes))
    return facts(40, group("socket", 40), moved=moved, descriptors=on, keeper=UNREAD)


def test_connections_that_the_program_opens_and_keeps_where_it_never_looks_are_permanent() -> None:
    opened, accepted = ("10.0.0.1:443", "10.0.0.1:443"), ("10.0.0.7:5001", "10.0.0.7:5002")
    assert strength(connections(*opened), never=True) == Strength.PERMANENT
    assert strength(connections(*accepted), never=True) == Strength.OPEN_ENDED
    assert strength(connections(*opened), never=False) == Strength.OPEN_ENDED
    assert strength(connections(*opened, moved=12), never=False) == Strength.OPEN_ENDED


def test_a_container_is_said_to_be_never_read() -> None:
    later, before = facts(40, group("sleep", 40), moved=40, looping=40, keeper=UNREAD)
    before = dataclasses.replace(before, keeper=dataclasses.replace(UNREAD, size=30))
    text = "they are kept by clients of module __main__ (list of at least 40, growing, never read)"
    assert text in cause((later, before)).text


def test_what_comes_to_some_that_waited_for_long_may_come_to_the_others() -> None:
    waits = (40, group("future", 40))
    for found, kind in (
        (facts(*waits, keeper=UNREAD), "task"),
        (FORGOTTEN, "task"),
        (idle_threads(), "thread"),
    ):
        shown = site(0, kind)  # type: ignore[arg-type]
        assert explain(shown, *found)[1] == Strength.PERMANENT
        assert explain(shown, *found, comes=True)[1] == Strength.NONE
    assert explain(site(0), *facts(*waits), never=True)[1] == Strength.PERMANENT
    assert explain(site(0), *facts(*waits), never=True, comes=True)[1] == Strength.NONE


def idle_threads() -> tuple[SiteFacts, SiteFacts]:
    return facts(16, group("queue.get", 16))


def test_event_loops_that_have_nothing_to_do_are_permanent() -> None:
    loops = group("descriptors", 16, "idle in event loop")
    assert strength(facts(16, loops), "thread") == Strength.PERMANENT
    assert strength(facts(16, loops, moved=8), "thread") == Strength.UNLIKELY
    later, before = facts(16, loops)  # of other threads that wait for descriptors nothing is told
    polls = dataclasses.replace(later, marks=()), dataclasses.replace(before, marks=())
    assert strength(polls, "thread") == Strength.NONE


def test_threads_on_connections_of_their_own_that_nobody_has_are_permanent() -> None:
    def polls(*remotes: str, unheld: int = 16, looping: int = 16) -> tuple[SiteFacts, SiteFacts]:
        on = tuple(Descriptor(at, "tcp", "10.0.0.2:80", remote) for at, remote in enumerate(remotes))
        later, before = facts(16, group("socket", 16), unheld=unheld, looping=looping, descriptors=on)
        return dataclasses.replace(later, marks=()), dataclasses.replace(before, marks=())

    opened, accepted = ("10.0.0.1:443", "10.0.0.1:443"), ("10.0.0.7:5001", "10.0.0.7:5002")
    assert strength(polls(*opened), "thread") == Strength.PERMANENT
    found = cause(polls(*opened), "thread")
    assert "no other code refers to them, so none can tell them to end" in found.text
    assert "all 16 threads are referenced by no other code" in found.evidence
    for others in (polls(*accepted), polls(*opened, unheld=0), polls(*opened, looping=0)):
        assert strength(others, "thread") == Strength.OPEN_ENDED
        assert "who could tell them" not in cause(others, "thread").text


def test_threads_that_nothing_can_wake_are_proven() -> None:
    found = facts(9, group("event", 9), reach=Reach(60.0, 0.01, 9, stuck=2))
    assert strength(found, "thread") == Strength.PROVEN
    assert (
        "nothing can wake them, as no living code can reach what they wait for" in cause(found, "thread").text
    )
    assert "nothing can wake" not in cause(facts(9, group("event", 9)), "thread").text


def test_a_loop_is_started_twice_also_where_a_container_that_nobody_reads_keeps_each() -> None:
    shared = (Bound("ChaosController", 40, 40),)
    loops = facts(40, group("sleep", 40), moved=30, looping=40, bound=shared, keeper=UNREAD)
    assert cause(loops).pattern == "started twice"
    read = dataclasses.replace(UNREAD, unread=False)
    loops = facts(40, group("sleep", 40), moved=30, looping=40, bound=shared, keeper=read)
    assert cause(loops).pattern == "unknown"


def test_forgotten_tasks_that_a_timer_ends_are_not_permanent() -> None:
    timed = facts(40, group("future", 40), unheld=40, reach=Reach(60.0, 0.01, 20, 0, timed=20))
    assert cause(timed).pattern == "fire and forget"
    assert strength(timed) == Strength.NONE


def test_a_quarter_that_was_given_something_shows_that_the_others_may_be_too() -> None:
    assert strength(facts(40, group("queue.get", 40)), some=True) == Strength.OPEN_ENDED
    assert strength(facts(40, group("queue.get", 40), moved=5)) == Strength.NONE
    assert strength(facts(40, group("future", 40), moved=12), some=True) == Strength.NONE


RETRIES = facts(40, group("sleep", 40), moved=30, looping=40, retrying=40)
AT_WORK = facts(40, group("sleep", 40), moved=40, looping=40, sharing=40)


def test_retries_without_a_limit_are_named_whatever_keeps_them() -> None:
    assert cause(RETRIES).pattern == "retried without a limit"
    orphans = facts(40, group("sleep", 40), moved=30, looping=40, retrying=40, orphans=40)
    assert cause(orphans).pattern == "retried without a limit"
    assert strength(orphans) == Strength.PERMANENT


def test_tries_with_a_limit_are_load() -> None:
    limited = facts(40, group("sleep", 40), moved=10, looping=40, limited=40, orphans=40)
    assert cause(limited).pattern == "limited rounds"
    assert strength(limited) == Strength.IN_USE


def test_threads_that_work_off_one_queue_are_load() -> None:
    assert cause(AT_WORK, "thread").pattern == "workers at work"
    assert strength(AT_WORK, "thread") == Strength.IN_USE
    assert explain(site(0, "thread"), AT_WORK[0], None)[1] == Strength.IN_USE  # the first look cannot tell
    stuck = facts(40, group("sleep", 40), looping=40, sharing=40)
    assert cause(stuck, "thread").pattern == "thread never told to end"


def test_what_a_library_starts_behind_a_line_was_opened_there_and_not_closed() -> None:
    inside = Frame("/lib/ws.py", 822, "Connection.keepalive", "library")
    waits = dataclasses.replace(group("sleep", 40), frame=inside)
    later, before = facts(40, waits, moved=10, looping=40, orphans=40)
    line = site(0, "task")
    opened = dataclasses.replace(
        line,
        frame=dataclasses.replace(line.frame, origin="user"),
        coroutine="Connection.keepalive",
        via=dataclasses.replace(inside, line=864),
    )
    named, _ = explain(opened, later, before)
    assert named is not None
    assert named.pattern == "opened and not closed"
    assert "each belongs to a Connection" in named.text
    own, _ = explain(dataclasses.replace(opened, via=None), later, before)
    assert own is not None
    assert own.pattern == "orphan"
