"""A site that starts task after task is told if nothing comes of them, as surely as that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskscope.analysis.fruitless import QUICK, FruitlessStarts
from taskscope.analysis.judge import Judge
from taskscope.analysis.patterns.fruitless import DEAR, LASTING, LONGER, for_nothing
from taskscope.analysis.spinning import GRACE
from taskscope.model import Counts, Finding, LoopTurns, SiteCounts, Starting
from taskscope.model.state import SiteState
from tests.unit.shapes import Lives, hello, samples, site, steady

CHAIN = Starting(1, 10_000, 10_000, 0, chain=True, looks=230)
BY_ONE = Starting(1, 1_500, 0, 1_500, chain=False, parent=4, function="main", others=1, looks=40)
SITES = {1: SiteState(site(1), SiteCounts(1, Counts()))}


def turns(time: float, *starting: Starting, asleep: int = 0, cpu: float = 0.9) -> LoopTurns:
    return LoopTurns(1, time, 0.5, 250, asleep, 250 - asleep, None, cpu, 4.0, (), (), starting)


def told(starting: Starting, lasted: float, *, asleep: int = 0, cpu: float = 0.9) -> tuple[Finding, ...]:
    starts = FruitlessStarts()
    for time in (100.5, 100 + lasted):
        starts.note([turns(time, starting, asleep=asleep, cpu=cpu)])
    return for_nothing(starts.found(SITES))


def levels(starting: Starting, lasted: float, *, asleep: int = 0, cpu: float = 0.9) -> list[str]:
    return [each.level for each in told(starting, lasted, asleep=asleep, cpu=cpu)]


def test_a_chain_that_keeps_its_loop_awake_is_told_with_its_rate() -> None:
    (found,) = told(CHAIN, LASTING)
    assert (found.level, found.kind, found.id, found.site) == ("suspect", "churn", 1, site(1).frame)
    assert found.text == "starts 20,000 tasks/s, and nothing comes of them"
    assert found.cause is not None
    assert found.cause.text == "each starts the next; nothing they work on changes"
    assert found.cause.evidence == (
        "10,000 started in 0.5 s",
        "the loop never slept, 90 % of a core",
        "nothing else to run on 230 of 230 looks",
    )
    assert told(CHAIN, LASTING - 0.1) == ()


def test_waits_that_all_time_out_are_told_with_who_starts_them() -> None:
    (found,) = told(BY_ONE, LONGER, asleep=200, cpu=DEAR)
    assert found.cause is not None
    assert (found.level, found.cause.text) == ("suspect", "main starts them again and again; none succeeds")
    assert found.cause.evidence == (
        "1,500 started in 0.5 s, 1,500 failed or were cancelled",
        "the loop slept on 200 of 250 looks, 10 % of a core",
        "nothing else to run on 39 of 40 looks",
        "started by task 4, main",
    )


def test_what_is_cheap_or_succeeds_is_a_note() -> None:
    assert levels(BY_ONE, LONGER, asleep=200, cpu=DEAR / 2) == ["info"]
    assert levels(replace(BY_ONE, finished=1_500), LONGER, asleep=200, cpu=DEAR) == ["info"]
    assert levels(BY_ONE, LONGER - 1, asleep=200) == []


def test_what_may_change_something_unseen_is_a_note_that_does_not_say_more() -> None:
    hidden = replace(CHAIN, whole=False)
    (found,) = told(hidden, LASTING)
    assert (found.level, found.text) == ("info", "starts 20,000 tasks/s, and the loop never sleeps")
    assert levels(hidden, LONGER, asleep=200) == []


@pytest.mark.parametrize(
    "works",
    [replace(CHAIN, changes=True), replace(CHAIN, counts=True), replace(CHAIN, others=20)],
    ids=["changes something", "counts", "is not alone"],
)
def test_what_may_be_at_work_is_not_told(works: Starting) -> None:
    assert told(works, LASTING) == ()


def test_tasks_that_take_their_time_compute() -> None:
    slow = replace(CHAIN, births=int(0.9 * 0.5 / QUICK) - 1)
    assert told(slow, LASTING) == ()


def test_a_look_without_time_for_it_is_bridged_and_one_at_a_loop_that_sleeps_ends_it() -> None:
    starts = FruitlessStarts()
    starts.note([turns(100, CHAIN)])
    starts.note([turns(110)])
    starts.note([turns(115, CHAIN)])
    (found,) = starts.found(SITES)
    assert found.lasted == 15.5
    starts.note([turns(116, asleep=1)])
    assert starts.found(SITES) == ()
    starts.note([turns(120, CHAIN)])
    starts.note([turns(121 + GRACE)])
    assert starts.found(SITES) == ()


def test_a_look_without_time_to_compare_takes_nothing_back_for_a_while() -> None:
    starts = FruitlessStarts()
    for time in (100, 100 + LASTING):
        starts.note([turns(time, CHAIN)])
    for time, level in ((120, "suspect"), (101 + LASTING + GRACE, "info")):
        starts.note([turns(time, replace(CHAIN, whole=False))])
        assert [each.level for each in for_nothing(starts.found(SITES))] == [level]


def test_a_judge_tells_it() -> None:
    judge = Judge(hello())
    for each in samples([Lives([]), Lives(steady(1, 3, life=0.5))], 0, 2):
        judge.feed(each)
    for time in (10, 20):
        judge.fruitless.note([turns(time, CHAIN)])
    assert [each.level for each in judge.findings()] == ["suspect"]
