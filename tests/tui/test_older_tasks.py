"""Of tasks older than the agent the charts and tables show what is known, marked ``~`` and dim."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.text import Text

from taskscope import model
from taskscope.model import requests
from taskscope.tui.site_table import SiteTable
from taskscope.tui.theme import palette
from tests.tui.fake_source import BOOT, LEAK, WALL, FakeSource
from tests.tui.running import SIZES, running
from tests.tui.screen_text import screen_text, until, until_shown

CAME = 200
"""Seconds after the start of the process at which the agent came."""


class AttachedLate(FakeSource):
    """The agent came late; ``dated``: whether it can tell of the births before."""

    def __init__(self, *, dated: bool = True) -> None:
        super().__init__(start=CAME + 50)
        self.dated = dated

    @property
    def process(self) -> model.Process:
        return replace(super().process, started_wall=WALL)

    async def open(self) -> model.Hello:
        return replace(await super().open(), agent_since=BOOT + CAME)

    def counts(self, site: int) -> model.SiteCounts:
        counts = super().counts(site)
        return (
            replace(counts, adopted=100 * CAME)
            if site == LEAK
            else replace(counts, oldest=self.now - 1, median=None)
        )

    async def history(self, query: requests.History) -> model.History:
        return await super().history(requests.History(self.seconds - CAME))

    async def site_history(self, query: requests.SiteHistory) -> tuple[model.SiteHistory, ...]:
        return await super().site_history(requests.SiteHistory(query.sites, self.seconds - CAME))

    async def facts(self, query: requests.Facts) -> model.SiteFacts:
        facts = await super().facts(query)
        if query.site != LEAK:
            return facts
        births = tuple(BOOT + float(second) for second in range(0, CAME, 4))
        older = model.Older(100 * CAME, births, tuple(None for _ in births)) if self.dated else None
        return replace(facts, sampled=200, orphans=200, unheld=200, looping=200, older=older)


def row_of(screen: str, site: str) -> str:
    return next(line for line in screen.split("\n") if site in line and "LEAK" not in line)


@pytest.mark.parametrize("size", SIZES)
async def test_a_trend_begins_with_the_reconstructed_past(size: tuple[int, int]) -> None:
    async with running(AttachedLate(), size) as (app, pilot):
        await until(pilot, lambda: "~▂" in screen_text(app))
        screen = await until_shown(pilot, "since ~")
        leak = row_of(screen, "executor.py:231")
        assert "5 min" in screen
        assert " ~4m10s" in leak
        trend = leak[leak.index("~▂") :].split()[0]
        assert list(trend[1:]) == sorted(trend[1:])
        assert "~" not in row_of(screen, "stream.py:88")
        table = app.screen.query_one(SiteTable)
        cell = next(
            each for each in table._cells(table.rows[0]) if isinstance(each, Text) and "~▂" in each.plain
        )
        span = next(each for each in cell.spans if each.style == palette(app.theme_variables).dim)
        assert (cell.plain[span.start : span.end], cell.plain[span.end :]) == (" ~▂▃▄▅▆▇", "██")


@pytest.mark.parametrize("size", SIZES)
async def test_the_chart_of_a_site_shows_the_reconstructed_past(size: tuple[int, int]) -> None:
    async with running(AttachedLate(), size) as (app, pilot):
        await until(pilot, lambda: "~▂" in screen_text(app))
        await pilot.press("enter")
        if size == SIZES[0]:
            await pilot.press("v")
        screen = await until_shown(pilot, "5 min: live 25,000")
        assert "ends 0.0/s, ~ before the agent" in screen
        assert "~~~" in screen
        assert "oldest ~4m10s" in screen
        if size == SIZES[1]:
            await until_shown(pilot, "~< 10m00s ")
            assert " < 1m00s " in screen_text(app)
        assert all(len(line) == size[0] for line in screen.split("\n"))


async def test_where_nothing_is_known_nothing_is_shown() -> None:
    async with running(AttachedLate(dated=False)) as (app, pilot):
        assert app.connection is not None
        findings = app.connection.context.store.findings
        await until(pilot, lambda: findings.progress is not None)
        screen = await until_shown(pilot, "1 min")
        assert "~▂" not in screen
        await pilot.press("enter")
        await until_shown(pilot, "of 25,000, oldest first")
        await pilot.press("v")
        screen = await until_shown(pilot, "live 25,000, births")
        assert "before the agent" not in screen
        assert "~~~" not in screen
