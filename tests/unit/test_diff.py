"""Two snapshots side by side: sites are matched by what they are."""

from __future__ import annotations

import dataclasses

from taskscope.analysis import diff as changes
from taskscope.model import Counts, Frame, Sample, Site, SiteCounts


def site(id: int, line: int = 10, function: str = "connect", coroutine: str = "beat") -> Site:
    frame = Frame("/app/client.py", line, function)
    return Site(id, "task", frame, frame, coroutine)


def sample(live: dict[int, int], wall: float = 0.0, fds: int | None = 5) -> Sample:
    counts = tuple(SiteCounts(id, Counts(n, n + 3, 3)) for id, n in live.items())
    total = Counts(sum(live.values()))
    return Sample(1, wall, wall, 1.0, total, 1, fds, None, None, None, None, None, True, (), counts)


def diffed(old: list[Site], before: Sample, new: list[Site], after: Sample) -> changes.Diff:
    """Of samples that name these sites."""
    return changes.compare(
        dataclasses.replace(before, new_sites=tuple(old)), dataclasses.replace(after, new_sites=tuple(new))
    )


def test_what_grew_came_and_went_is_distinguished_with_the_most_growth_first() -> None:
    sites = [site(1, 10), site(2, 20, "a"), site(3, 30, "b"), site(4, 40, "c"), site(5, 50, "d")]
    diff = diffed(
        sites, sample({1: 5, 2: 7, 3: 2, 4: 9, 5: 4}), sites, sample({1: 8, 2: 0, 3: 2, 4: 1, 5: 44}, 60.0)
    )
    assert [(change.site.id, change.state, change.delta) for change in diff.sites] == [
        (5, "grew", 40), (1, "grew", 3), (3, "same", 0), (2, "went", -7), (4, "shrank", -8),
    ]  # fmt: skip
    assert diff.grew
    assert diff.seconds == 60.0


def test_a_site_that_is_new_came_and_one_without_live_tasks_is_left_out() -> None:
    diff = diffed([], sample({}), [site(1), site(2, 20, "a")], sample({1: 2, 2: 0}))
    assert [(change.site.id, change.state) for change in diff.sites] == [(1, "came")]


def test_another_run_numbers_its_sites_otherwise() -> None:
    diff = diffed(
        [site(1), site(2, 20, "a")], sample({1: 5, 2: 6}), [site(2), site(1, 20, "a")], sample({2: 5, 1: 6})
    )
    assert [change.state for change in diff.sites] == ["same", "same"]
    assert not diff.grew


def test_a_line_that_moved_within_its_function_is_the_same_site() -> None:
    diff = diffed([site(1, 10)], sample({1: 5}), [site(1, 14)], sample({1: 6}))
    assert [(change.site.frame.line, change.state) for change in diff.sites] == [(14, "grew")]


def test_two_lines_of_one_function_are_not_guessed_at() -> None:
    diff = diffed([site(1, 10), site(2, 12)], sample({1: 5, 2: 5}), [site(3, 14)], sample({3: 6}))
    assert sorted(change.state for change in diff.sites) == ["came", "went", "went"]


def test_two_numbers_of_one_line_are_added_up() -> None:
    diff = diffed([site(1), site(2)], sample({1: 5, 2: 1}), [site(3)], sample({3: 9}))
    assert [(change.before.live, change.after.live, change.before.born) for change in diff.sites] == [
        (6, 9, 12)
    ]


def test_a_number_that_one_side_does_not_know_stays_unknown() -> None:
    diff = diffed([], sample({}, fds=None), [], sample({}))
    assert {change.name: (change.before, change.after) for change in diff.totals} == {
        "tasks": (0, 0), "threads": (1, 1), "fds": (None, 5), "rss": (None, None),
    }  # fmt: skip
