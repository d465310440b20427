"""Tasks in use move now and then; leaked ones never do."""

from __future__ import annotations

import dataclasses

from taskscope.analysis.moves import Moves
from taskscope.model import Mark, SiteFacts


def look(at: float, places: dict[int, int]) -> SiteFacts:
    return SiteFacts(0, at, len(places), (), len(places), marks=tuple(Mark(*each) for each in places.items()))


def test_tasks_that_stand_where_they_stood_have_never_moved() -> None:
    moves = Moves()
    for at in range(0, 40, 5):
        moves.add(look(at, {serial: serial for serial in range(10 + at)}))
    assert moves.never


def test_few_tasks_have_to_stand_for_longer() -> None:
    moves = Moves()
    for at in range(0, 130, 10):
        moves.add(look(at, {serial: serial for serial in range(2)}))
        assert moves.never == (at >= 120)


def test_one_that_moved_once_is_remembered() -> None:
    for late, never in ((10, False), (1000, True)):
        moves = Moves()
        for at in range(0, 60, 5):
            moved = 100 if at >= late else 0
            moves.add(look(at, {serial: serial + (moved if serial == 3 else 0) for serial in range(10)}))
        assert moves.never == never


def test_tasks_that_are_not_known_long_say_nothing() -> None:
    moves = Moves()
    assert not moves.never
    moves.add(look(0, {1: 1, 2: 2}))
    moves.add(look(10, {1: 1, 2: 2}))
    assert not moves.never


def test_a_good_part_that_moved_at_any_time_is_remembered() -> None:
    """However late the looks come: between the last two of them none need have moved."""
    moves = Moves()
    moves.add(look(0, {serial: serial for serial in range(12)}))
    assert not moves.some
    for at, moved in ((20, 2), (40, 3), (60, 3)):
        moves.add(look(at, {serial: serial + (100 if serial < moved else 0) for serial in range(12)}))
        assert moves.some == (moved == 3)


def test_tasks_that_ended_are_forgotten() -> None:
    moves = Moves()
    moves.add(look(0, {1: 1, 2: 2, 3: 3}))
    moves.add(look(10, {1: 9, 2: 2, 3: 3}))
    moves.add(look(300, {2: 2, 3: 3}))
    assert moves.never


def test_what_they_wait_for_comes_where_some_that_were_known_for_long_have_ended() -> None:
    moves = Moves()
    for at, serials in ((0, {1, 2, 3}), (10, {1, 2, 3, 4}), (14, {1, 2, 3}), (20, {1, 2, 3}), (25, {2, 3})):
        moves.add(look(at, {serial: serial for serial in serials}))
        assert moves.comes == (at == 25)  # 4 was not known for long


def test_one_in_a_hundred_that_ends_says_nothing_of_the_others() -> None:
    moves = Moves()
    for at, first in ((0, 0), (20, 0), (25, 1)):
        moves.add(look(at, {serial: serial for serial in range(first, 100)}))
    assert not moves.comes


def test_who_is_no_longer_sampled_need_not_have_ended() -> None:
    moves = Moves()
    for at, serials in ((0, range(9)), (20, range(9)), (25, range(5, 9))):
        seen = look(at, {serial: serial for serial in serials})
        moves.add(dataclasses.replace(seen, live=500))
    assert not moves.comes


def test_a_thread_that_is_not_marked_while_it_works_has_not_ended() -> None:
    moves = Moves()
    for at, serials in ((0, range(9)), (20, range(9)), (25, range(5, 9))):
        seen = look(at, {serial: serial for serial in serials})
        moves.add(dataclasses.replace(seen, sampled=9, live=9))
    assert not moves.comes
