"""The store: what samples, histories, pauses and baselines make of it.  No app here."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import pytest

from taskscope import model
from taskscope.model import requests
from taskscope.model.series import Series
from taskscope.tui.ordering import of_sites
from taskscope.tui.store import Store
from tests.tui.fake_source import BOOT, HANDLER, IMPUTED, LEAK, SITES, STREAMS, FakeSource


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(start=100)


@pytest.fixture
def store(source: FakeSource) -> Store:
    store = Store(Clock())
    store.begin(asyncio.run(source.open()))
    store.apply(source.sample(full=True))
    return store


def pass_time(store: Store, source: FakeSource, seconds: int) -> None:
    for _ in range(seconds):
        source.seconds += 1
        store.apply(source.sample())


def test_the_first_seconds_of_the_agent_are_no_growth() -> None:
    source, store = FakeSource(start=1), Store()
    store.begin(asyncio.run(source.open()))
    for second, live in enumerate((0, 300, 900, *[900] * 12)):
        counts = dataclasses.replace(source.counts(LEAK), counts=model.Counts(live, live))
        sample = source.sample(full=not second)
        store.apply(dataclasses.replace(sample, monotonic=BOOT + 1 + second, sites=(counts,)))
    assert store.sites[LEAK].growth(store.now) == 0.0


def test_rows_are_the_same_object_until_a_site_comes() -> None:
    source, store = FakeSource(start=10), Store()
    store.apply(source.sample(full=True))
    rows = store.rows("site")
    store.apply(source.sample())
    assert store.rows("site") is rows
    store.apply(dataclasses.replace(source.sample(), new_sites=(dataclasses.replace(SITES[0], id=77),)))
    assert len(store.rows("site")) == len(rows) + 1


def test_sites_of_threads_are_among_the_rows_and_marked() -> None:
    store = Store()
    store.apply(FakeSource(start=10).sample(full=True))
    assert "thr pool.py:5 start" in [row.label for row in store.rows("site")]
    assert "thr work" in [row.label for row in store.rows("coroutine")]


def test_of_equal_sites_the_larger_comes_first_and_idle_ones_last() -> None:
    source, store = FakeSource(start=60, quiet_sites=3), Store()
    dead = dataclasses.replace(source.counts(100), counts=model.Counts(0, 1, 1))
    sample = source.sample(full=True)
    sites = tuple(dead if each.site == 100 else each for each in sample.sites)
    store.apply(dataclasses.replace(sample, sites=sites))
    rows = of_sites().arrange(store.rows("site"), lambda _: 0.0, descending=True, now=0.0, moment=store.now)
    assert [row.live for row in rows[:3]] == [6000, 50, 8]
    assert rows[-1].sites == (100,)


def test_rates_come_from_successive_samples(store: Store, source: FakeSource) -> None:
    pass_time(store, source, 70)
    leak, handler = store.sites[LEAK], store.sites[HANDLER]
    assert leak.growth(store.now) == pytest.approx(6000)
    assert leak.births(store.now) == pytest.approx(100)
    assert leak.ends(store.now) == 0
    assert handler.births(store.now) == pytest.approx(310, abs=1)
    assert handler.growth(store.now) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("interval", [0.1, 1.0, 7.0, 20.0])
def test_a_steady_rate_reads_steady_however_the_samples_jitter(interval: float) -> None:
    """Each sample is up to 10 % late or early, which once made the rate vary by 20 %."""
    source, store, dice = FakeSource(start=10), Store(), random.Random(3)
    at, read = BOOT + 10.0, set()
    for number in range(80):
        at += interval * dice.uniform(0.9, 1.1)
        born = int((at - BOOT) * 1000)
        counts = model.SiteCounts(LEAK, model.Counts(0, born, born))
        sample = dataclasses.replace(source.sample(full=not number), monotonic=at, sites=(counts,))
        store.apply(sample)
        read.add(store.sites[LEAK].births(store.now))
    assert all(rate == pytest.approx(1000, rel=0.01) for rate in read - {None}), read


def test_a_rate_of_a_site_that_seldom_changes_is_over_the_same_seconds(
    store: Store, source: FakeSource
) -> None:
    pass_time(store, source, 60)
    counts = source.counts(STREAMS)
    more = dataclasses.replace(counts, counts=dataclasses.replace(counts.counts, born=51, live=51))
    source.seconds += 1
    store.apply(dataclasses.replace(source.sample(), sites=(more,)))
    assert store.sites[STREAMS].births(store.now) == pytest.approx(0.2)


def test_sites_whose_tasks_end_at_once_are_ranked_by_births_and_show_them(
    store: Store, source: FakeSource
) -> None:
    for second in range(1, 61):
        source.seconds += 1
        counts = model.SiteCounts(HANDLER, model.Counts(0, 500 * second, 500 * second))
        store.apply(dataclasses.replace(source.sample(), sites=(counts,)))
    rows = of_sites().arrange(store.rows("site"), lambda _: 0.0, descending=True, now=0.0, moment=store.now)
    assert [row.sites for row in rows[:2]] == [(LEAK,), (HANDLER,)]
    assert store.sites[HANDLER].trend(store.now, 50, 5) == [5000] * 5


def test_a_site_that_is_not_in_the_sample_keeps_its_counts(store: Store, source: FakeSource) -> None:
    pass_time(store, source, 70)
    streams = store.sites[STREAMS]
    assert streams.live == 50
    assert streams.growth(store.now) == 0
    assert streams.births(store.now) == 0


def test_at_the_first_sample_there_is_no_growth(store: Store) -> None:
    assert store.sites[LEAK].growth(store.now) is None
    assert store.sites[LEAK].births(store.now) is None


async def test_the_agents_history_is_merged_with_later_samples(source: FakeSource) -> None:
    store = Store(Clock())
    store.begin(await source.open())
    store.apply(source.sample(full=True))
    past = await source.ask(requests.History(3600))
    past_sites = await source.ask(requests.SiteHistory((LEAK,), 600))
    source.seconds += 1
    store.apply(source.sample())
    store.recall(past)
    store.recall(past_sites)
    assert store.history.times[0] == BOOT
    assert store.history.times[-1] == source.now
    assert store.slope("tasks") == pytest.approx(6000, rel=0.01)
    assert store.sites[LEAK].growth(store.now) == pytest.approx(6000, rel=0.01)
    assert store.last("loop_latency") == 0.0019


def test_pause_holds_the_picture_and_resume_catches_up(store: Store, source: FakeSource) -> None:
    store.pause()
    before = store.sites[LEAK].live
    new = dataclasses.replace(source.sites[0], id=77)
    source.seconds += 1
    store.apply(dataclasses.replace(source.sample(), new_sites=(new,)))
    pass_time(store, source, 5)
    assert store.sites[LEAK].live == before
    assert 77 not in store.sites
    store.resume()
    assert store.sites[LEAK].live == before + 600
    assert 77 in store.sites


def test_baseline_counts_changes_since(store: Store, source: FakeSource) -> None:
    baseline = store.mark()
    assert baseline is not None
    pass_time(store, source, 3)
    assert store.sites[LEAK].since(baseline.sites) == 300
    assert store.sites[STREAMS].since(baseline.sites) == 0


def test_a_restarted_target_starts_over_and_the_same_one_continues(store: Store, source: FakeSource) -> None:
    store.begin(asyncio.run(source.open()))
    assert LEAK in store.sites
    store.mark()
    store.begin(asyncio.run(FakeSource(pid=9).open()))
    assert not store.sites
    assert store.baseline is not None
    assert not store.baseline.sites
    assert not store.history.times


def test_a_full_sample_drops_sites_that_are_no_more(store: Store, source: FakeSource) -> None:
    source.sites = [site for site in source.sites if site.id != IMPUTED]
    store.apply(source.sample(full=True))
    assert IMPUTED not in store.sites


def test_groupings_sum_their_sites(store: Store, source: FakeSource) -> None:
    twin = dataclasses.replace(source.sites[0], id=50, coroutine="read_stream")
    sample = dataclasses.replace(
        source.sample(), new_sites=(twin,), sites=(model.SiteCounts(50, model.Counts(5, 5)),)
    )
    store.apply(sample)
    by_coroutine = {row.label: row for row in store.rows("coroutine")}
    assert by_coroutine["read_stream"].live == 55
    assert set(by_coroutine["read_stream"].sites) == {STREAMS, 50}
    assert "work" not in by_coroutine  # a thread's site
    users = {row.label for row in store.rows("user site")}
    assert "api.py:17 serve" in users
    assert "(no user code) ~book.py:9 watch" in users


def test_walked_groups_gain_a_trend_from_successive_answers(store: Store, source: FakeSource) -> None:
    group = model.Group("k", "somewhere", None, 10, None, (LEAK,))
    for live in (10, 20, 30):
        pass_time(store, source, 5)
        store.merge_groups("parked", [dataclasses.replace(group, live=live)])
    (row,) = store.rows("parked")
    assert row.live == 30
    assert row.growth(store.now) == pytest.approx(120, rel=0.5)


def test_series_memory_is_bounded_and_thins_with_age() -> None:
    series = Series(1, ((60.0, 1.0), (600.0, 10.0)))
    for quarter in range(4 * 5000):
        series.append(quarter / 4, (quarter,))
    assert len(series.times) < 60 + 60 + 80
    assert 4999 - series.times[0] <= 700
    minute, _ = series.since(4999 - 50)
    assert 45 <= len(minute) <= 70


def test_one_spike_is_no_growth() -> None:
    series = Series(1, ((70.0, 1.0),))
    for second in range(61):
        series.append(float(second), (5000.0 if second == 58 else 100.0,))
    assert series.slope(60.0) == 0


def test_a_site_whose_line_is_learnt_later_keeps_its_counts(source: FakeSource) -> None:
    frame = model.Frame("/app/a.py", 3, "f")
    unknown = model.Site(1, "task", frame, frame, "work", "unknown")
    imputed = dataclasses.replace(unknown, frame=model.Frame("/app/a.py", 9, "main"), known="imputed")
    counts = model.SiteCounts(1, model.Counts(5, 5), None, None, 5)
    first = model.Sample(1, 10.0, 0.0, 1.0, model.Counts(5, 5), 1, None, None, None, None, None, None)
    store = Store(Clock())
    store.begin(asyncio.run(source.open()))
    store.apply(dataclasses.replace(first, full=True, new_sites=(unknown,), sites=(counts,)))
    store.apply(dataclasses.replace(first, seq=2, monotonic=11.0, new_sites=(imputed,)))
    assert (store.sites[1].site.known, store.sites[1].live) == ("imputed", 5)
