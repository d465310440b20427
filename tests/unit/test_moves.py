"""Tasks in use move now and then; leaked ones never do."""

from __future__ import annotations

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


def test_tasks_that_ended_are_forgotten() -> None:
    moves = Moves()
    moves.add(look(0, {1: 1, 2: 2, 3: 3}))
    moves.add(look(10, {1: 9, 2: 2, 3: 3}))
    moves.add(look(300, {2: 2, 3: 3}))
    assert moves.never
