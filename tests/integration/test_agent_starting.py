"""Loops that start task after task: for nothing, and for something.

Shows: tasks for nothing
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.fruitless import FruitlessStarts
from taskscope.analysis.patterns.fruitless import for_nothing
from taskscope.model import Counts, Finding, LoopTurns, SiteCounts, requests
from taskscope.model.state import SiteState
from tests.corpus.program import CORPUS
from tests.integration.children import running, says
from tests.integration.start_ways import PROGRAMS, WAYS
from tests.integration.test_agent_hangs import agent_of
from tests.pythons import NEWEST, SUPPORTED, require

if TYPE_CHECKING:
    from taskscope.sources.live import LiveSource

DIFFER = ("a task for each turn", "waits that time out")
"""Ways in which asyncio's own part differs from version to version."""

AT_WORK = (
    "pipeline_of_parsed_records",
    "records_from_a_thread",
    "tiles_rendered_in_tasks",
    "words_counted_in_tasks",
)


class Looks:
    """Looks at a target; the findings are those if it stays as it is for two minutes."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._samples = source.samples()
        self._sites: dict[int, SiteState] = {}

    async def turns(self) -> tuple[LoopTurns, ...]:
        sample = await anext(self._samples)
        for site in sample.new_sites:
            self._sites[site.id] = SiteState(site, SiteCounts(site.id, Counts()))
        return await self._source.ask(requests.Turns())

    def findings(self, turns: tuple[LoopTurns, ...]) -> tuple[Finding, ...]:
        starts = FruitlessStarts()
        starts.note(replace(each, monotonic=each.monotonic - 10) for each in turns)
        for seconds in range(0, 120, 10):
            starts.note(replace(each, monotonic=each.monotonic + seconds) for each in turns)
        return for_nothing(starts.found(self._sites))


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *((name, SUPPORTED[0]) for name in WAYS),
        *((name, NEWEST) for name in DIFFER if SUPPORTED[0] != NEWEST),
    ],
)
async def test_tasks_of_which_nothing_comes_are_told(name: str, version: str) -> None:
    way = WAYS[name]
    with running(PROGRAMS[name], python=str(require(version))) as child:
        says(child, "standing")
        async with agent_of(child.pid) as source:
            looks, found = Looks(source), tuple[Finding, ...]()
            give_up = time.monotonic() + 20
            while not any(each.level in way.levels for each in found):
                assert time.monotonic() < give_up, found
                found = looks.findings(await looks.turns())
    (finding,) = found
    assert finding.cause is not None
    assert (finding.kind, finding.cause.pattern) == ("churn", "tasks for nothing")
    lines = [each.strip() for each in PROGRAMS[name].split("\n")]
    assert lines[finding.site.line - 1] == way.line
    assert finding.cause.text == way.says


@pytest.mark.parametrize("name", AT_WORK)
async def test_tasks_that_do_something_are_not(name: str) -> None:
    with running((CORPUS / "healthy" / f"{name}.py").read_text()) as child:
        async with agent_of(child.pid) as source:
            looks, seen = Looks(source), tuple[LoopTurns, ...]()
            give_up = time.monotonic() + 20
            while not any(starting.births for each in seen for starting in each.starting):
                assert time.monotonic() < give_up, seen
                seen = await looks.turns()
    for starting in (starting for each in seen for starting in each.starting):
        assert starting.changes or not starting.whole
    assert [each for each in looks.findings(seen) if each.level != "info"] == []
