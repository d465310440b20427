"""The rules of folding samples, and that a merged sample is equivalent to its parts."""

from __future__ import annotations

import dataclasses
import random

import pytest

from taskscope.model import Counts, Sample, Site, SiteCounts
from taskscope.model.state import TargetState, merge
from tests.unit.shapes import hello, site

BLANK = Sample(0, 0.0, 1000.0, 1.0, Counts(), 1, None, None, None, None, None, None)


def sample(
    time: float,
    lives: dict[int, int],
    *named: Site,
    full: bool = False,
    dropped: int = 0,
    set_by: int = 0,
) -> Sample:
    counts = tuple(SiteCounts(id, Counts(live, live)) for id, live in lives.items())
    return dataclasses.replace(
        BLANK,
        monotonic=time,
        wall=1000 + time + set_by,
        full=full,
        new_sites=named,
        sites=counts,
        dropped={"tasks": dropped},
    )


@pytest.fixture
def state() -> TargetState:
    """Two sites with 5 and 7 tasks at 10 s."""
    state = TargetState(hello())
    state.apply(sample(10, {1: 5, 2: 7}, site(1), site(2), full=True))
    return state


def lives(state: TargetState) -> dict[int, int]:
    return {id: each.counts.counts.live for id, each in state.sites.items()}


def test_what_a_sample_leaves_out_holds_on(state: TargetState) -> None:
    change = state.apply(sample(11, {1: 6}))
    assert lives(state) == {1: 6, 2: 7}
    assert [each.site.id for each in change.counted] == [1]
    assert (state.sites[1].changed, state.sites[2].changed) == (11, 10)


def test_a_full_sample_drops_what_it_does_not_mention(state: TargetState) -> None:
    change = state.apply(sample(11, {1: 6}, site(1), full=True))
    assert lives(state) == {1: 6}
    assert change.gone == (2,)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known before"])
def test_older_tasks_that_move_to_another_site_of_their_coroutine_have_not_come(
    state: TargetState, *, known: bool
) -> None:
    there = dataclasses.replace(site(3), coroutine=state.sites[2].site.coroutine)
    if known:
        state.apply(sample(11, {3: 1}, there))
    moved = SiteCounts(3, Counts(9, 9), adopted=7)
    full = dataclasses.replace(sample(12, {1: 5}, site(1), there, full=True))
    change = state.apply(dataclasses.replace(full, sites=(*full.sites, moved)))
    assert change.heirs == {2: 3}
    assert (state.sites[3].gained, state.sites[3].came, state.sites[3].since) == (2, False, 10)


def test_a_site_counted_first_after_another_sample_has_come_from_nothing(state: TargetState) -> None:
    state.apply(sample(12, {3: 9}, site(3)))
    here, came = state.sites[1], state.sites[3]
    assert (here.first.live, here.since, here.came) == (5, 10, False)
    assert (came.first.live, came.since, came.came, came.gained) == (0, 10, True, 9)


def test_a_site_named_before_it_is_counted_has_come_since_the_sample_before(
    state: TargetState,
) -> None:
    state.apply(sample(11, {}, site(3)))
    assert (lives(state)[3], state.sites[3].since) == (0, None)
    state.apply(sample(12, {3: 9}))
    assert (state.sites[3].since, state.sites[3].came) == (11, True)


def test_a_site_that_is_named_again_keeps_its_counts(state: TargetState) -> None:
    better = dataclasses.replace(site(1), known="imputed")
    change = state.apply(sample(11, {}, better, site(2)))
    assert state.sites[1].site is better
    assert [each.site.id for each in change.named] == [1], "the other says nothing new"
    assert (lives(state)[1], state.sites[1].first.live, state.sites[1].since) == (5, 5, 10)


def test_counts_of_a_site_that_nobody_named_are_left_out(state: TargetState) -> None:
    state.apply(sample(11, {9: 4}))
    assert lives(state) == {1: 5, 2: 7}


def test_sites_may_be_named_beforehand() -> None:
    state = TargetState(hello())
    state.learn([site(1)])
    state.apply(sample(10, {1: 5}))
    assert (state.sites[1].first.live, state.sites[1].came) == (5, False)


def test_losses_are_totals_that_the_newest_sample_tells(state: TargetState) -> None:
    older, newer = sample(11, {1: 6}, dropped=3), sample(12, {1: 6}, dropped=5)
    state.apply(merge(older, newer))
    assert state.sample is not None
    assert state.sample.dropped == {"tasks": 5}


def test_the_wall_clock_is_that_of_the_latest_sample() -> None:
    state = TargetState(hello(10))
    assert (state.now, state.wall(10)) == (10, 1010)
    state.apply(sample(11, {}, set_by=3600))
    assert (state.now, state.wall(10)) == (11, 4610)


def test_the_same_agent_continues_and_another_one_starts_over(state: TargetState) -> None:
    assert state.begin(hello())
    state.apply(sample(20, {1: 8, 3: 2}, site(1), site(3), full=True))
    assert lives(state) == {1: 8, 3: 2}
    assert (state.sites[1].since, state.sites[3].came) == (10, True)
    assert not state.begin(hello(500))
    assert (state.sites, state.sample, state.now) == ({}, None, 500)


def test_a_limit_that_changed_is_the_processs_from_then_on(state: TargetState) -> None:
    process = dataclasses.replace(hello().process, fd_limit=77)
    state.apply(merge(dataclasses.replace(sample(11, {}), process=process), sample(12, {})))
    assert state.hello is not None
    assert state.hello.process.fd_limit == 77


def test_the_whole_picture_is_a_sample_that_makes_the_same(state: TargetState) -> None:
    state.apply(sample(11, {1: 6, 3: 1}, site(3)))
    whole, copy = state.whole(), TargetState(hello())
    assert whole is not None
    copy.apply(whole)
    assert lives(copy) == {1: 6, 2: 7, 3: 1}
    assert copy.now == 11


@pytest.mark.parametrize("seed", range(20))
def test_a_merged_sample_is_equivalent_to_its_parts(seed: int) -> None:
    dice = random.Random(seed)
    one, other = TargetState(hello()), TargetState(hello())
    first = sample(0, {0: 1}, site(0), full=True)
    one.apply(first)
    other.apply(first)
    known: tuple[Site, ...] = (site(0),)
    for time in range(1, 30, 3):
        parts = []
        for part in range(3):
            named: tuple[Site, ...] = (site(time * 3 + part),) if dice.random() < 0.5 else ()
            known += named
            counted = {each.id: dice.randrange(50) for each in known if each in named or dice.random() < 0.5}
            parts.append(sample(time + part, counted, *named, full=dice.random() < 0.1))
            if parts[-1].full:  # of what it drops nobody speaks again
                known = tuple(each for each in known if each.id in counted)
        for each in parts:
            one.apply(each)
        other.apply(merge(*parts) if dice.random() < 0.5 else merge(merge(*parts[:2]), parts[2]))
        assert lives(one) == lives(other)
        assert {id: each.first for id, each in one.sites.items()} == {
            id: each.first for id, each in other.sites.items()
        }
