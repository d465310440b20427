"""Timers by what they call, the line that arms them, and what only they keep alive."""

from __future__ import annotations

import sys

import pytest

from taskscope.model import TimerGroup, Timers, requests
from tests.integration.children import running, says
from tests.integration.test_agent_hangs import agent_of
from tests.integration.timer_ways import DEBUG, EXPECTED, IN_USE, PLAIN, RESET, UVLOOP
from tests.pythons import NEWEST, require

VERSIONS = ("3.11", NEWEST)


async def timers_of(program: str, version: str = "3.11") -> Timers:
    """``version`` "": the interpreter of these tests, with its packages."""
    with running(program, python=str(require(version)) if version else sys.executable) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            return await source.ask(requests.Timers(keeps=5))


def by_function(timers: Timers) -> dict[str, TimerGroup]:
    return {each.function: each for each in timers.groups}


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_line_that_arms_a_timer_is_inferred(version: str) -> None:
    timers = await timers_of(PLAIN, version)
    groups, lines = by_function(timers), PLAIN.split("\n")
    for function, (live, by) in EXPECTED.items():
        group = groups[function]
        assert (group.live, group.known, [each.function for each in group.armed]) == (live, "imputed", [by])
        assert function in lines[group.armed[0].line - 1] or "call_at" in lines[group.armed[0].line - 1]
        assert group.frame is not None
        assert lines[group.frame.line - 1].strip().startswith(("def ", "@", "loop.call_later(901, lambda"))


@pytest.mark.parametrize("version", VERSIONS)
async def test_in_debug_mode_it_is_known(version: str) -> None:
    timers = await timers_of(DEBUG, version)
    for function, (live, by) in EXPECTED.items():
        group = by_function(timers)[function]
        assert (group.live, group.known) == (live, "exact")
        assert [each.function for each in group.armed] == [by.rpartition(".")[2]]


async def test_what_cannot_be_known_is_not_claimed() -> None:
    groups = by_function(await timers_of(PLAIN))
    assert groups["elsewhere"].armed == ()
    assert groups["elsewhere"].known == "unknown"
    assert {each.function for each in groups["Two.ring"].armed} == {"Two.first", "Two.second"}
    assert groups["print"].frame is None
    assert groups["dict.pop"].frame is None


async def test_timers_of_tasks_and_cancelled_ones_are_told_apart() -> None:
    timers = await timers_of(PLAIN)
    of_tasks = {each.function: each.live for each in timers.groups if each.of_tasks}
    assert of_tasks == {"_set_result_unless_cancelled": 250, "Timeout._on_timeout": 5}
    assert timers.cancelled == 20
    assert timers.hidden == timers.unlisted == 0


async def test_due_times_are_told_evenly() -> None:
    timers = await timers_of(PLAIN)
    group = by_function(timers)["_set_result_unless_cancelled"]
    assert 3500 < group.nearest - timers.monotonic <= group.furthest - timers.monotonic <= 3600
    assert group.nearest <= group.dues[0]
    assert group.dues[-1] <= group.furthest
    assert len(group.dues) > 30
    assert list(group.dues) == sorted(group.dues)


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_only_a_timer_keeps_is_told_with_its_size(version: str) -> None:
    groups = by_function(await timers_of(PLAIN, version))
    session, flush, hub = groups["Session.expire"].kept, groups["flush"].kept, groups["Hub.drop"].kept
    inside = groups["nested.inside"].kept
    assert session is not None
    assert (session.type, session.objects, session.alone) == ("Session", 6, 6)
    assert 20_000 < session.each < 22_000
    assert flush is not None
    assert (flush.type, flush.objects, flush.alone) == ("", 0, 6)
    assert 3_000 < flush.each < 4_000
    assert hub is not None
    assert (hub.type, hub.objects, hub.alone) == ("Hub", 1, 0)
    assert inside is not None
    assert inside.alone == 0
    popped = groups["dict.pop"].kept
    assert popped is not None
    assert (popped.alone, popped.each < 200) == (0, True)  # what a dict of others' holds is not its own
    over = groups["Logins.over"].kept
    assert over is not None
    assert (over.again, over.of) == (30, "dict")
    assert {each.again for each in (session, flush, hub, inside, popped)} == {0}
    assert groups["elsewhere"].kept is None  # fewer than asked for


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_open_connection_keeps_its_protocol_and_a_closed_one_does_not(version: str) -> None:
    opened = by_function(await timers_of(IN_USE, version))["Connection.expire"]
    closed = by_function(await timers_of(RESET, version))["Connection.expire"]
    assert opened.kept is not None
    assert (opened.kept.alone, opened.kept.closed) == (0, 0)
    assert closed.kept is not None
    assert (closed.kept.alone, closed.kept.closed) == (6, 6)


async def test_uvloop_does_not_show_its_timers() -> None:
    pytest.importorskip("uvloop")
    timers = await timers_of(UVLOOP, "")
    assert timers.hidden == 1
    assert timers.groups == ()
