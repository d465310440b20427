"""Ended tasks that something keeps are a leak only while their number keeps growing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, Keeper, Sample, SiteCounts, SiteFacts
from tests.unit.shapes import hello, site

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding


def watch(
    kept: Callable[[int], int],
    seconds: int,
    *,
    from_second: int = 0,
    full: int | None = None,
    seen: bool = True,
    emptied: bool = False,
    unread: bool = False,
    entry: str = "",
) -> list[tuple[Finding, ...]]:
    """What is said at each second of a site of which so many ended tasks are kept then, 100 kB each.

    ``full``: entries of the container all the time; None: as many as are kept.  ``seen``: it is found.
    ``emptied``: code takes entries out of it.
    ``unread``: the program never looks into it.  ``entry``: they are kept within its entries, of this type.
    """
    judge = Judge(hello(from_second))
    said = []
    for now in range(from_second + 1, from_second + seconds + 1):
        counts = SiteCounts(0, Counts(1, 5 * now + 1, 5 * now), now - 0.1, now - 0.1, retained=kept(now))
        first = now == from_second + 1
        judge.feed(
            Sample(
                now,
                float(now),
                1000.0 + now,
                1.0,
                Counts(1),
                1,
                10,
                20_000_000 + 100_000 * kept(now),
                0.1,
                0.001,
                0.0,
                1 << 20,
                first,
                (site(0),) if first else (),
                (counts,),
            )
        )
        for asked in judge.questions():
            name, size = "Hub.tasks", full or kept(now)
            keeper = Keeper(name, "list", size, "app.hub", 100_000, entry, emptied=emptied, unread=unread)
            judge.facts(SiteFacts(asked.site, float(now), 1, (), keeper=keeper if seen else None))
        said.append(judge.findings())
    return said


def test_a_growing_number_is_a_leak_with_what_keeps_them_and_how_much() -> None:
    (finding,) = watch(lambda now: 5 * now, 160)[-1]
    assert finding.level == "leak"
    assert 280 < finding.rate_per_min < 320
    assert " are done but still referenced by Hub.tasks (list of " in finding.text
    assert ", growing) of the Hub in module app.hub, 100 kB each, steadily +300" in finding.text
    assert finding.cause is not None
    assert finding.cause.pattern == "ended tasks kept"


def test_those_in_a_container_that_nobody_reads_are_a_leak_before_long() -> None:
    (finding,) = watch(lambda now: 5 * now, 40, unread=True)[-1]
    assert finding.level == "leak"
    assert "(list of at least 185, growing, never read) of the Hub" in finding.text
    (finding,) = watch(lambda now: 5 * now, 40)[-1]
    assert finding.level == "suspect"
    (finding,) = watch(lambda now: 5 * now, 40, unread=True, entry="Connection")[-1]
    assert finding.level == "suspect"
    said = watch(lambda now: 5 * now, 60, full=1_000, unread=True)
    assert "leak" not in {finding.level for findings in said for finding in findings}


def test_growth_is_as_old_as_the_watch_or_older_unless_the_agent_came_with_the_process() -> None:
    (finding,) = watch(lambda now: 5 * now, 160)[-1]
    assert not finding.since_at_least
    (finding,) = watch(lambda now: 5 * (now - 300), 160, from_second=300)[-1]
    assert finding.since_at_least


def test_memory_that_grows_with_ended_tasks_is_explained_by_them() -> None:
    (finding,) = watch(lambda now: 5 * now, 300)[-1]
    assert cast("dict[str, Any]", finding.evidence["moves"])["rss"]["each"] == pytest.approx(
        100_000, rel=0.02
    )


def test_a_cache_that_is_full_is_none() -> None:
    said = watch(lambda now: min(5 * now, 400), 300)
    assert {each.level for findings in said for each in findings} <= {"suspect", "info"}
    (finding,) = said[-1]
    assert (finding.level, finding.evidence["why"]) == ("info", "retained")


def test_those_that_take_the_place_of_others_in_a_full_container_are_no_leak() -> None:
    said = watch(lambda now: 5 * now, 170, full=1_000)
    assert {finding.level for findings in said for finding in findings if finding.why != "unexplained"} <= {
        "info",
        "suspect",
    }


def test_a_container_that_entries_also_leave_may_be_a_cache_that_still_fills() -> None:
    said = watch(lambda now: 5 * now, 300, emptied=True)
    sites = [{each.level for each in findings if each.kind == "task"} for findings in said]
    assert set().union(*sites[:160]) <= {"info"}
    assert sites[-1] == {"suspect"}
    (note,) = (each for each in said[100] if each.kind == "task")
    assert note.cause is not None
    assert note.cause.text.startswith("ended tasks are kept by Hub.tasks (list of ")


@pytest.mark.parametrize(("entry", "level"), [("Board", "info"), ("", "leak")])
def test_those_within_what_a_leak_keeps_are_a_note(entry: str, level: str) -> None:
    judge = Judge(hello())
    for now in range(1, 181):
        counts = (
            SiteCounts(0, Counts(1, now + 1, now), now - 0.1, now - 0.1, retained=now),
            SiteCounts(1, Counts(now, now), 1.0, now / 2),
        )
        rest = (1, 10, 1 << 20, 0.1, 0.001, 0.0, 1 << 20, now == 1, (site(0), site(1)) if now == 1 else ())
        judge.feed(Sample(now, float(now), 1000.0 + now, 1.0, Counts(now + 1), *rest, counts))
        for asked in judge.questions():
            keeper = Keeper("boards", "dict", now, "app", 0, entry) if asked.site == 0 else None
            alive = tuple(min(now, int(cut)) for cut in asked.cuts)
            looks = SiteFacts(asked.site, float(now), now, alive, 40, cuts=asked.cuts)
            judge.facts(replace(looks, keeper=keeper, cancelling=40 * asked.site))
        findings = judge.findings()
    (kept,) = (each for each in findings if each.id == 0 and each.kind == "task")
    assert kept.level == level
    assert ("in step with the leak at service.py:101" in kept.text) == bool(entry)


def test_those_that_nothing_is_seen_to_keep_await_the_collector() -> None:
    said = watch(lambda now: now, 170, seen=False)
    assert {finding.level for findings in said for finding in findings} <= {"info"}


def test_a_few_are_nothing() -> None:
    assert not any(watch(lambda now: min(now, 15), 100))
