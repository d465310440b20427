"""History in fixed memory: fine for recent times, coarse for old ones, never growing."""

from __future__ import annotations

import dataclasses
import itertools

from taskscope import model
from taskscope.agent.counts.history import MAX_SITES, SITE_TIERS, SiteHistories
from taskscope.agent.counts.joined import summed
from taskscope.model.series import ProcessSeries, Series

BASE = model.Sample(0, 0.0, 0.0, 1.0, model.Counts(), 1, None, None, None, None, None, None)


def filled(hours: float, every: int = 1) -> ProcessSeries:
    history = ProcessSeries()
    for second in range(0, int(hours * 3600), every):
        sample = dataclasses.replace(
            BASE,
            monotonic=float(second),
            tasks=model.Counts(second, second),
            loop_latency=second % 100 / 1000,
        )
        history.add(sample)
    return history


def test_ten_minutes_are_kept_by_the_second_and_hours_coarser() -> None:
    history = filled(3)
    past = history.read(0)
    assert list(past.times) == sorted(set(past.times))
    assert past.times[0] < 20
    last = [time for time in past.times if time >= past.times[-1] - 590]
    assert {b - a for a, b in itertools.pairwise(last)} == {1.0}
    assert past.tasks == past.times  # each value stands at its time
    early = [time for time in past.times if time < 9000]
    assert {b - a for a, b in itertools.pairwise(early)} <= {9.0, 10.0}
    assert past.fds == (None,) * len(past.times)


def test_a_coarse_point_keeps_the_worst_latency() -> None:
    history = ProcessSeries()
    for second in range(7200):
        history.add(dataclasses.replace(BASE, monotonic=float(second), loop_latency=float(second % 100 == 3)))
    past = history.read(0)
    early = [value for time, value in zip(past.times, past.loop_latency, strict=True) if 100 < time < 5000]
    assert early.count(1.0) == 49, "each hundredth second was slow, and none was the last of its ten"


def test_memory_stops_growing() -> None:
    sizes = [filled(hours, every=10).nbytes for hours in (0.5, 8, 50, 52)]
    assert sizes[0] < sizes[1] < sizes[2] < 500_000
    assert abs(sizes[3] - sizes[2]) < 20_000


def test_a_site_is_kept_only_where_it_changed() -> None:
    sites = SiteHistories(0.0)
    flat = SiteHistories(0.0)
    for second in range(3 * 3600):
        sites.add(1, float(second), second, second)
        flat.add(1, float(second), 5, 5)
    busy, quiet = sites.read(1, 0), flat.read(1, 0)
    assert sites.nbytes <= 12 * (sum(age / step for age, step in SITE_TIERS) + Series.SLACK)
    assert flat.nbytes == 12
    assert (quiet.live, quiet.born, quiet.ended) == ((5,), (5,), (0,))
    assert list(busy.times) == sorted(set(busy.times))
    assert all(live == time for live, time in zip(busy.live, busy.times, strict=True))
    recent = sites.read(1, 3 * 3600 - 60)
    assert 60 <= len(recent.times) <= 62


def test_the_last_value_before_a_site_falls_quiet_is_kept() -> None:
    sites = SiteHistories(0.0)
    sites.add(1, 0.0, 0, 0)
    sites.add(1, 5.0, 70, 70)
    for second in range(6, 3 * 3600):
        sites.add(2, float(second), second, second)
    assert sites.read(1, 0).live[-1] == 70
    assert sites.read(1, 2 * 3600.0).live == (70,)


def test_too_many_sites_are_refused_and_counted() -> None:
    sites = SiteHistories(0.0)
    for site in range(MAX_SITES + 3):
        sites.add(site, 1.0, 1, 1)
    assert len(sites.refused) == 3
    assert sites.read(MAX_SITES + 1, 0).times == ()


def test_samples_that_end_in_another_order_than_they_began_leave_the_times_in_order() -> None:
    history = ProcessSeries()
    for time in (1.0, 3.0, 2.0, 4.0):
        history.add(dataclasses.replace(BASE, monotonic=time))
    assert history.read(0.0).times == (1.0, 3.0, 4.0)


def test_tasks_older_than_the_agent_were_there_however_late_they_are_found() -> None:
    sites = SiteHistories(0.0)
    for second, found in enumerate((100, 3_000, 8_000, 8_000)):
        sites.add(1, float(second), found + second, found + second, found)
    assert sites.read(1, 0.0).live == (8_000, 8_001, 8_002, 8_003)


def test_tasks_that_came_from_another_site_are_in_its_past() -> None:
    sites = SiteHistories(0.0)
    sites.add(1, 0.0, 50, 50, 50)
    sites.add(1, 1.0, 55, 55, 55)
    sites.add(2, 2.0, 56, 56, 55, lambda _: (1,))
    sites.add(1, 2.0, 0, 0)
    sites.add(2, 3.0, 60, 60, 58, lambda _: (1,))  # three more were found
    past = summed(sites.read(2, 0.0), sites.read(1, 0.0))
    assert past.live == (55, 59, 60)
