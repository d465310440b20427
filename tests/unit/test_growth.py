"""Slopes, kept gains, and the fixed memory of a track."""

from __future__ import annotations

import random

import pytest

from taskscope.analysis.growth import kept, measure, percent, slope
from taskscope.analysis.track import LENGTH, Track


def test_a_slope_is_per_minute_and_lies_in_its_interval() -> None:
    dice = random.Random(1)
    times = [float(second) for second in range(120)]
    found = slope(times, [second * 0.5 + dice.gauss(0, 3) for second in times])
    assert found.rate == pytest.approx(30, rel=0.05)
    assert found.low < 30 < found.high


def test_a_third_of_outliers_does_not_move_a_slope_out_of_reach() -> None:
    times = [float(second) for second in range(60)]
    values = [second + (500 if second % 5 == 0 else 0) for second in times]
    assert slope(times, values).rate == pytest.approx(60, rel=0.02)


def test_noise_without_growth_has_zero_in_its_interval() -> None:
    dice = random.Random(2)
    times = [float(second) for second in range(60)]
    found = slope(times, [dice.gauss(100, 5) for _ in times])
    assert found.low < 0 < found.high


def test_one_point_has_no_slope() -> None:
    assert slope([1.0], [5.0]).rate == 0.0
    assert slope([1.0, 1.0], [5.0, 9.0]).rate == 0.0


def test_the_kept_gain_is_the_minimum_from_then_on() -> None:
    assert kept([1, 9, 2, 7, 3, 5]) == [1, 2, 2, 3, 3, 5]


def test_percent_compares_the_ends_of_a_run_and_not_its_spikes() -> None:
    assert percent([100.0] * 50 + [900.0] + [100.0] * 49) == pytest.approx(0)
    assert percent([100.0] * 50 + [110.0] * 50) == pytest.approx(10)
    assert percent([0.0] * 20) is None


def test_a_whole_track_spans_everything_in_fixed_memory() -> None:
    track = Track(0.0, 1.0, recent=False)
    for second in range(5000):
        track.add(float(second), second, second, 0)
    bins = track.bins(4999.0)
    assert len(bins) <= LENGTH
    assert bins[0].time == 0.0
    assert bins[-1].live == 4999
    assert [bin.low for bin in bins] == sorted(bin.low for bin in bins)


def test_a_dip_survives_the_loss_of_resolution() -> None:
    track = Track(0.0, 1.0, recent=False)
    for second in range(1200):
        track.add(float(second), 3 if second == 700 else 50, 50, 0)
    assert min(bin.low for bin in track.bins(1199.0)) == 3
    assert max(bin.high for bin in track.bins(1199.0)) == 50


def test_a_recent_track_forgets_all_but_the_value_in_force() -> None:
    track = Track(0.0, 2.0, recent=True)
    track.add(0.0, 7, 7, 0)
    track.add(100.0, 9, 9, 0)
    bins = track.bins(2000.0)
    assert len(bins) == LENGTH
    assert {bin.live for bin in bins} == {9}


def test_gaps_are_filled_with_what_held() -> None:
    track = Track(0.0, 1.0, recent=False)
    track.add(0.0, 1, 1, 0)
    track.add(5.0, 4, 4, 0)
    assert [bin.live for bin in track.bins(7.0)] == [1, 1, 1, 1, 1, 4, 4, 4]


def queue_after(seconds: int, *, random_ends: bool) -> Track:
    """Fifty tasks, one more each second, and one less every other second; or as many, but at random."""
    dice = random.Random(5)
    track, live, born, ended = Track(0.0, 1.0, recent=False), 50, 0, 0
    for second in range(seconds):
        ends = int(dice.random() < 0.5) if random_ends else second % 2
        live, born, ended = live + 1 - ends, born + 1, ended + ends
        track.add(float(second), live, born, ended)
    return track


def test_a_gain_beside_regular_ends_is_no_noise() -> None:
    for random_ends in (False, True):
        found = measure(queue_after(40, random_ends=random_ends).bins(39.0), 39.0)
        assert found is not None
        assert 4 < found.noise < found.gained


def looked_at_ever_later(*, steadily: bool) -> bool:
    """Whether growth seems to slow down: steadily one a second, or one from look to look."""
    track, now = Track(0.0, 1.0, recent=False), 0.0
    for look in range(14):
        live = int(now) if steadily else look
        track.add(now, live, live, 0)
        now += 5 * 1.12**look
    found = measure(track.bins(now), now)
    assert found is not None
    return found.slows


def test_what_is_looked_at_ever_later_does_not_slow_down() -> None:
    """Each look shows all that came since the one before."""
    assert not looked_at_ever_later(steadily=True)
    assert looked_at_ever_later(steadily=False)
