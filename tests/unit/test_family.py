"""The tree of processes, and what the command line tells of each."""

from __future__ import annotations

import pytest

from taskscope.attach.family import ancestor, below, role_beside, role_by, tree


def placed(*rows: tuple[int, int]) -> list[str]:
    """The tree of (pid, parent) as it is drawn."""
    return [f"{branch}{pid}" for branch, (pid, _) in tree(rows, lambda row: row[0], lambda row: row[1])]


def test_children_stand_below_their_parents_in_their_own_order() -> None:
    assert placed((1, 0), (9, 0), (3, 1), (2, 1), (4, 3)) == ["1", "├─ 3", "│  └─ 4", "└─ 2", "9"]


def test_a_family_stands_where_its_first_member_stood() -> None:
    assert placed((5, 1), (9, 0), (1, 0)) == ["1", "└─ 5", "9"]


def test_whose_parent_is_not_listed_stands_for_itself() -> None:
    assert placed((5, 77), (6, 77)) == ["5", "6"]


def test_two_that_seem_to_be_each_others_parents_are_both_listed() -> None:
    assert sorted(placed((5, 6), (6, 5))) == ["6", "└─ 5"]


def test_a_shell_between_two_processes_is_passed_over() -> None:
    assert ancestor(30, {30: 20, 20: 10, 10: 1, 1: 0}, [10, 30]) == 10
    assert ancestor(10, {10: 1, 1: 0}, [10, 30]) == 0


def test_below_a_process_is_itself_and_all_that_it_has_started() -> None:
    assert below(1, {2: 1, 3: 2, 4: 9}) == {1, 2, 3}


@pytest.mark.parametrize(
    ("code", "role"),
    [
        ("from multiprocessing.resource_tracker import main;main(5)", "resource tracker"),
        ("from multiprocessing.forkserver import main; main(4, 5, [], **{})", "fork server"),
        ("import sys; from multiprocessing.forkserver import main; main(4, 5, [], **{})", "fork server"),
        ("from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=6)", "spawned"),
        ("print(1)", ""),
    ],
)
def test_multiprocessing_tells_by_the_code_it_runs(code: str, role: str) -> None:
    assert role_by(["python3", "-c", code]) == role


def test_who_has_the_command_line_of_its_parent_was_forked() -> None:
    assert role_beside("gunicorn app", "", "gunicorn app", "") == "forked"
    assert role_beside("gunicorn: worker", "", "gunicorn: master", "") == ""
    assert role_beside("python -c from", "fork server", "python -c from", "fork server") == "forked"
    assert role_beside("python -c spawn", "spawned", "python -c spawn", "spawned") == "spawned"
