"""Two snapshots side by side: sites are matched by what they are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from taskscope.analysis.diff import compare
from taskscope.export import changes as written
from taskscope.model import Counts, Finding, Frame, Sample, Site, SiteCounts
from taskscope.model.changes import Diff, Side

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Level


def site(id: int, line: int = 10, function: str = "connect", coroutine: str = "beat") -> Site:
    frame = Frame("/app/client.py", line, function)
    return Site(id, "task", frame, frame, coroutine)


def sample(live: dict[int, int], wall: float = 0.0, fds: int | None = 5) -> Sample:
    counts = tuple(SiteCounts(id, Counts(n, n + 3, 3)) for id, n in live.items())
    total = Counts(sum(live.values()))
    return Sample(1, wall, wall, 1.0, total, 1, fds, None, None, None, None, None, True, (), counts)


def side(sites: list[Site], counted: Sample, texts: dict[int, str] | None = None) -> Side:
    """A sample that names these sites, with the texts of their lines."""
    return Side(dataclasses.replace(counted, new_sites=tuple(sites)), (), texts or {})


def diffed(old: list[Site], before: Sample, new: list[Site], after: Sample) -> Diff:
    """Of samples that name these sites."""
    return compare(side(old, before), side(new, after))


def test_what_grew_came_and_went_is_distinguished_with_the_largest_change_first() -> None:
    sites = [site(1, 10), site(2, 20, "a"), site(3, 30, "b"), site(4, 40, "c"), site(5, 50, "d")]
    diff = diffed(
        sites, sample({1: 5, 2: 7, 3: 2, 4: 9, 5: 4}), sites, sample({1: 8, 2: 0, 3: 2, 4: 1, 5: 44}, 60.0)
    )
    assert [(change.site.id, change.state, change.delta) for change in diff.sites] == [
        (5, "grew", 40), (4, "shrank", -8), (2, "went", -7), (1, "grew", 3), (3, "same", 0),
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


def lines(*numbers: int) -> list[Site]:
    return [site(number, number) for number in numbers]


def found_again(before: Side, after: Side) -> list[tuple[int, int | None, str]]:
    """Each site's line now and then, and how it was matched."""
    changes = compare(before, after).sites
    return sorted(
        (each.site.frame.line, each.was.frame.line if each.was else None, each.matched) for each in changes
    )


def test_lines_that_moved_are_found_by_their_text() -> None:
    before = side(lines(10, 20), sample({10: 1, 20: 2}), {10: "spawn(beat())", 20: "start(beat())"})
    after = side(lines(15, 25), sample({15: 2, 25: 1}), {15: "start(beat())", 25: "spawn(beat())"})
    assert found_again(before, after) == [(15, 20, "moved"), (25, 10, "moved")]


def test_a_line_that_reads_differently_is_said_to_be_edited() -> None:
    before = side(lines(10), sample({10: 1}), {10: "spawn(beat())"})
    after = side(lines(11), sample({11: 2}), {11: "spawn(beat(), name='b')"})
    assert found_again(before, after) == [(11, 10, "edited")]


def test_two_equal_lines_are_taken_in_their_order_and_not_guessed_at_if_one_is_gone() -> None:
    texts = dict.fromkeys((10, 20, 15, 25), "spawn(beat())")
    before = side(lines(10, 20), sample({10: 1, 20: 2}), texts)
    assert found_again(before, side(lines(15, 25), sample({15: 1, 25: 2}), texts)) == [
        (15, 10, "moved"), (25, 20, "moved"),
    ]  # fmt: skip
    assert found_again(before, side(lines(15), sample({15: 3}), texts)) == [
        (10, 10, "line"), (15, None, "line"), (20, 20, "line"),
    ]  # fmt: skip


def test_a_release_in_another_folder_is_the_same_file() -> None:
    frame = Frame("/srv/releases/42/app/client.py", 12, "connect")
    moved = Site(9, "task", frame, frame, "beat")
    diff = diffed([site(1, 10)], sample({1: 5}), [moved], sample({9: 7}))
    assert [(each.matched, each.delta) for each in diff.sites] == [("path", 2)]


def finding(id: int, level: Level) -> Finding:
    return Finding(level, "task", id, site(id).frame, None, "beat", 1, 1.0, 0.0, "")


def test_a_site_at_fault_on_one_side_only_comes_first() -> None:
    sites = [site(1), site(2, 20, "a"), site(3, 30, "b")]
    before = dataclasses.replace(
        side(sites, sample({1: 900, 2: 40, 3: 10})), findings=(finding(2, "leak"), finding(3, "leak"))
    )
    after = dataclasses.replace(side(sites, sample({1: 100, 2: 0, 3: 20})), findings=(finding(3, "leak"),))
    changes = compare(before, after).sites
    assert [each.site.id for each in changes] == [2, 1, 3]
    assert (changes[0].level_before, changes[0].level_after) == ("leak", None)
    assert not changes[2].turned


def test_text_and_markdown_say_how_a_site_was_found_again_and_what_is_said_of_it() -> None:
    before = dataclasses.replace(
        side(lines(10), sample({10: 9}), {10: "spawn(beat())"}), findings=(finding(10, "leak"),)
    )
    after = side(lines(14), sample({14: 2}, 60.0), {14: "spawn(beat())"})
    diff = compare(before, after)
    text = "\n".join(written.text(diff, before, after))
    assert "client.py:14 connect  beat  (LEAK before; moved, was line 10)" in text
    table = list(written.markdown(diff, before, after))
    assert (
        table[-1] == "| shrank | 9 | 2 | -7 | client.py:14 connect | beat | LEAK before; moved, was line 10 |"
    )
    packed = written.packed(diff, before, after)["sites"][0]
    assert (packed["matched"], packed["was"]["line"], packed["level_before"]) == ("moved", 10, "leak")


def test_markdown_takes_no_orders_from_names() -> None:
    odd = Site(1, "task", Frame("/a|b.py", 1, "f"), None, "<b>`x`|")
    before, after = side([odd], sample({1: 1})), side([odd], sample({1: 2}))
    row = list(written.markdown(compare(before, after), before, after))[-1]
    assert "a\\|b.py:1 f" in row
    assert "\\<b\\>\\`x\\`\\|" in row
