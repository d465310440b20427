"""Whose container starts a collection: the program's, although our thread makes more of them."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from taskscope.agent import headroom
from taskscope.agent.headroom import MARGIN, NEEDED, Headroom

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counted:
    __slots__ = ("_",)


def make(number: int) -> list[Counted]:
    return [Counted() for _ in repeat(None, number)]


@contextmanager
def collections() -> Iterator[list[str]]:
    """The collections that start inside."""
    seen: list[str] = []

    def note(phase: str, info: object) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Headroom:
    """A full reserve."""
    monkeypatch.setattr(headroom, "PATIENCE", 0.0)
    gc.collect()
    reserve = Headroom()
    reserve.give_back()
    return reserve


def nearly_enough() -> list[Counted]:
    """As many of the program's containers as start no collection yet."""
    return make(gc.get_threshold()[0] - gc.get_count()[0] - MARGIN)


def test_no_turn_of_ours_starts_a_collection_and_the_next_container_of_the_program_does(
    room: Headroom,
) -> None:
    with collections() as ours:
        kept = nearly_enough()
        for _ in range(20):
            room.take()
            made = make(NEEDED - MARGIN)
            del made
            room.give_back()
    with collections() as theirs:
        make(2 * MARGIN)
    assert kept
    assert (bool(ours), bool(theirs)) == (False, True)


def test_what_our_thread_keeps_is_taken_from_the_reserve_until_there_is_room_again(room: Headroom) -> None:
    full = len(room._held)
    with collections() as ours:
        kept = [nearly_enough()]
        for _ in range(20):
            room.take()
            kept.append(make(10))
            room.give_back()
    less = len(room._held)
    gc.collect()
    room.give_back()
    assert not ours
    assert full - less >= 200
    assert len(room._held) == full


def test_settings_of_the_collector_that_leave_no_room_are_left_alone() -> None:
    before = gc.get_threshold()
    try:
        for threshold in (0, 1, 5):
            gc.set_threshold(threshold)
            room = Headroom()
            room.give_back()
            room.take()
            assert gc.get_threshold()[0] == threshold
            assert not room._held
    finally:
        gc.set_threshold(*before)
