"""The sites and findings of several processes as those of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.merged import MergedSites, Told, merged_findings
from taskscope.analysis.summed import summed
from taskscope.model import Counts, Finding, Frame, Site, SiteCounts
from taskscope.text import among

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Level

FILE = "/srv/shop/mail.py"


def site(line: int = 10, id: int = 1, coroutine: str = "send") -> Site:
    frame = Frame(FILE, line, "queue_mail")
    return Site(id, "task", frame, frame, coroutine)


def counts(live: int, born: int, id: int = 1, oldest: float | None = None) -> SiteCounts:
    return SiteCounts(id, Counts(live, born, born - live), oldest, oldest)


def merged(*lives: int) -> tuple[MergedSites, int]:
    """Members 1, 2, … with so many live tasks of one site."""
    sites, id = MergedSites(), 0
    for member, live in enumerate(lives, 1):
        id = sites.name(member, site(id=100 + member))
        sites.count(member, counts(live, 10 * live, 100 + member), 0.0, 0.0)
    return sites, id


def test_the_same_line_of_several_processes_is_one_site_with_the_sum_of_their_counts() -> None:
    sites, id = merged(3, 4, 5)
    named, counted = sites.take()
    assert [each.id for each in named] == [id] == [each.site for each in counted]
    assert (counted[0].counts.live, counted[0].counts.born) == (12, 120)
    assert sites.live(id) == {1: 3, 2: 4, 3: 5}
    assert sites.take() == ((), ())


def test_other_coroutines_and_other_lines_are_other_sites() -> None:
    sites = MergedSites()
    assert len({sites.name(1, site()), sites.name(1, site(coroutine="log")), sites.name(2, site(11))}) == 3


def test_a_process_that_ends_leaves_its_births_and_takes_its_tasks() -> None:
    sites, id = merged(3, 4)
    sites.end(2)
    left = sites.counts(id).counts
    assert (left.live, left.born, left.ended) == (3, 70, 67)
    assert sites.live(id) == {1: 3}


def test_two_sites_of_one_process_on_one_line_count_together() -> None:
    sites, id = merged(3)
    assert sites.name(1, site(id=7)) == id
    sites.count(1, counts(2, 2, 7), 0.0, 0.0)
    assert sites.live(id) == {1: 5}
    sites.drop(1, 7)
    assert sites.live(id) == {1: 3}


def test_times_are_shifted_to_the_clock_of_the_group() -> None:
    sites = MergedSites()
    id = sites.name(1, site())
    sites.count(1, counts(1, 1, oldest=50.0), 0.0, 1000.0)
    assert (sites.counts(id).oldest, sites.counts(id).median) == (1050.0, 1050.0)


def test_a_line_that_has_moved_in_another_version_is_the_same_site() -> None:
    sites = MergedSites()
    id = sites.name(1, site(10), {(FILE, 10): "spawn(send())"})
    moved = {(FILE, 12): "spawn(send())", (FILE, 10): "# two lines were added"}
    assert sites.name(2, site(12), moved) == id


def test_two_alike_lines_of_one_version_are_two_sites() -> None:
    sites = MergedSites()
    id = sites.name(1, site(10), {(FILE, 10): "spawn(send())"})
    same = {(FILE, 12): "spawn(send())", (FILE, 10): "spawn(send())"}
    assert sites.name(2, site(12), same) != id


def test_lines_whose_text_is_not_known_are_not_guessed_to_be_the_same() -> None:
    sites = MergedSites()
    id = sites.name(1, site(10))
    assert sites.name(2, site(12), {(FILE, 12): "spawn(send())"}) != id


def test_the_process_that_keeps_far_more_than_the_others_is_the_outlier() -> None:
    sites, id = merged(3, 900, 4, 2)
    assert sites.outliers(id, [1, 2, 3, 4], 1.0) == set()  # too early to know that they stay
    assert sites.outliers(id, [1, 2, 3, 4], 30.0) == {2}


def finding(level: Level = "leak", rate: float = 60.0, live: int = 100, since: float = 5.0) -> Finding:
    frame = Frame(FILE, 10, "queue_mail")
    return Finding(level, "task", 1, frame, frame, "send", live, rate, since, "grows", since_wall=since)


def test_a_finding_of_several_processes_is_told_once_with_their_pids() -> None:
    told = [Told(40, finding(rate=60), 1, 0.0), Told(50, finding(rate=90, since=2.0), 1, 1.0)]
    (found,) = merged_findings(told, lambda _: 4)
    assert (found.processes, found.of, found.live, found.rate_per_min) == ((50, 40), 4, 200, 150.0)
    assert found.since == 3.0
    assert found.text == "200 live, +150/min together; of 50: grows"


def test_the_worst_level_counts_and_notes_give_way_to_faults() -> None:
    told = [
        Told(1, finding("suspect"), 1, 0.0),
        Told(2, finding("leak"), 1, 0.0),
        Told(3, finding("info"), 1, 0.0),
    ]
    (found,) = merged_findings(told, lambda _: 3)
    assert (found.level, found.processes) == ("leak", (2, 1))


def test_what_a_process_leaked_until_it_ended_is_told_apart_from_what_leaks_now() -> None:
    left = Told(40, finding(rate=500, live=900), 1, 0.0, ended=True)
    (alone,) = merged_findings([left], lambda pids: 3 if not pids else 0)
    assert (alone.processes, alone.ended, alone.live) == ((40,), (40,), 900)
    assert among(alone) == "in 40, which has ended"
    (found,) = merged_findings([left, Told(50, finding(), 1, 0.0)], lambda pids: 3 if pids == {50} else 0)
    assert (found.processes, found.ended, found.live, found.rate_per_min) == ((50, 40), (40,), 100, 60.0)
    assert among(found) == "only in 50, of 3 processes; in 40, which has ended"


def test_findings_on_different_sites_stay_apart_worst_first() -> None:
    told = [Told(1, finding("suspect"), 1, 0.0), Told(2, finding("leak"), 2, 0.0)]
    assert [each.level for each in merged_findings(told, lambda _: 2)] == ["leak", "suspect"]


def test_series_are_added_where_both_have_begun() -> None:
    joined = summed(((1.0, 3.0), [(10, 30)]), ((2.0, 3.0), [(5, None)]), [lambda a, b: a + b])
    assert joined == ([1.0, 2.0, 3.0], [[10, 15, 30]])
