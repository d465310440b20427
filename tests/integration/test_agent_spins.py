"""Loops that never sleep: those that spin for nothing, and those that are at work.

Shows: loop spins, never drained, busy wait
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns import spins
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.analysis.spinning import Spinning
from taskscope.model import requests
from tests.integration.children import running, says
from tests.integration.spin_ways import BUSY, PROGRAMS, SPINS
from tests.integration.test_agent_hangs import agent_of
from tests.pythons import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskscope.model import Finding, LoopTurns

VERSIONS = ("3.11", "3.14")


def judged(turns: Iterable[LoopTurns]) -> list[Finding]:
    """The findings if it is the same for another minute, with a core for itself."""
    seen = [
        Spinning(replace(each, cpu=1.0), rearmed, each.monotonic - 60)
        for each in turns
        for rearmed in each.rearmed
    ]
    facts = ProcessFacts(0.0, (), (), (), Onset(0.0), spins=seen)
    return [finding for pattern in spins.PATTERNS for finding in pattern.find(facts)]


async def turns_of(
    name: str, version: str, enough: Callable[[tuple[LoopTurns, ...]], object]
) -> tuple[LoopTurns, ...]:
    """What is seen.  On a busy machine it may take several requests until it is enough."""
    with running(PROGRAMS[name], python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            found = await source.ask(requests.Turns())
            give_up = time.monotonic() + 20
            while not enough(found) and time.monotonic() < give_up:
                found = await source.ask(requests.Turns())
            assert child.poll() is None
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SPINS)
async def test_a_loop_that_spins_names_the_line_that_queues_it_again(name: str, version: str) -> None:
    pattern, function, line, _ = SPINS[name]
    (turns,) = await turns_of(name, version, judged)
    assert turns.iterations is not None
    if pattern != "never drained":
        assert turns.iterations > 1000
        assert turns.asleep == 0
        assert turns.callbacks[0].function == function
    (finding,) = judged([turns])
    assert finding.cause is not None
    assert (finding.cause.pattern, finding.coroutine) == (pattern, function)
    assert finding.level == ("suspect" if pattern == "busy wait" else "spin")
    lines = [each.strip() for each in PROGRAMS[name].split("\n")]
    assert lines[finding.site.line - 1] == line


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BUSY)
async def test_a_loop_at_work_does_not_spin(name: str, version: str) -> None:
    (turns,) = await turns_of(name, version, lambda found: found and found[0].looks > 20)
    assert turns.looks > 20
    assert turns.rearmed or turns.iterations is None, "it was called into"
    assert judged([turns]) == []
