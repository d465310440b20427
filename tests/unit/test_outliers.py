"""Who of a group is not like the others: a fact that has to hold for small numbers and uneven load."""

from __future__ import annotations

import pytest

from taskscope.analysis.outliers import LowWater, never_started, outliers


@pytest.mark.parametrize(
    ("counts", "far"),
    [
        ((3, 4, 3, 3000), {3}),
        ((0, 0, 6), {2}),
        ((600, 600, 2, 3), {0, 1}),  # two of four
        ((600, 600, 600, 3), set()),  # most of them: the others are the odd ones, and have less
        ((100, 90, 130, 115), set()),  # counts vary by about their square root
        ((0, 0, 5), set()),
        ((1, 4, 2, 9, 3, 7, 2), set()),  # uneven load
        ((1000, 5000, 3000, 9000), set()),  # all differ: nobody is unlike the others
        ((0, 500), set()),  # of two, nobody knows which
    ],
)
def test_an_outlier_has_far_more_than_most_others(counts: tuple[int, ...], far: set[int]) -> None:
    assert outliers(dict(enumerate(counts))) == far


def test_who_never_started_a_task_is_odd_where_most_have() -> None:
    assert never_started({1: 0, 2: 70, 3: 0, 4: 9}) == {1, 3}
    assert never_started({1: 0, 2: 0, 3: 0, 4: 9}) == set()
    assert never_started({1: 0, 2: 9}) == set()


def test_what_comes_and_goes_does_not_raise_the_low_water_mark() -> None:
    low = LowWater(0, 0.0)
    for second in range(1, 60):
        low.note(40 * (second % 2), float(second))
    assert low.mark(60.0) == 0
    for second in range(60, 90):
        low.note(40 + second, float(second))
    assert low.mark(90.0) >= 100


def test_a_count_that_does_not_change_is_its_own_low_water_mark_after_a_while() -> None:
    low = LowWater(30, 0.0)
    assert low.mark(5.0) == 0
    assert low.mark(100.0) == 30
