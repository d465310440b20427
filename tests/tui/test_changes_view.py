"""D: what changed since the baseline, which may be a moment, a file, or what was before a restart."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.recorded import RecordedSource
from taskscope.sources.sides import side_of
from taskscope.tui.app import TaskScopeApp
from tests.recordings import record
from tests.tui.fake_source import LEAK, FakeSource
from tests.tui.running import SIZES, running
from tests.tui.screen_text import screen_text, until_shown

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.model.changes import Side
    from taskscope.sources.base import Source


def moved(side: Side, by: int) -> Side:
    """As of another run, of code in which the leaking line stood elsewhere."""
    sites = tuple(
        dataclasses.replace(
            each, id=each.id + 100, frame=dataclasses.replace(each.frame, line=each.frame.line + by)
        )
        if each.id == LEAK
        else dataclasses.replace(each, id=each.id + 100)
        for each in side.sample.new_sites
    )
    counts = tuple(dataclasses.replace(each, site=each.site + 100) for each in side.sample.sites)
    return dataclasses.replace(side, sample=dataclasses.replace(side.sample, new_sites=sites, sites=counts))


@pytest.mark.parametrize("size", SIZES)
async def test_what_changed_since_the_baseline(size: tuple[int, int]) -> None:
    fake = FakeSource()
    async with running(fake, size) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press("D")
        await until_shown(pilot, "No baseline to compare with.")
        await pilot.press("escape", "b")
        fake.advance(30)
        await until_shown(pilot, "since baseline +3,000 tasks in 30s")
        await pilot.press("D")
        screen = await until_shown(pilot, "since baseline, 2026-")
        rows = [line for line in screen.split("\n") if "+3,000" in line]
        assert any("grew" in line and "executor.py:231 record_failure" in line for line in rows)
        fake.advance(1)
        await until_shown(pilot, "+3,10")
        await pilot.press("enter")
        await until_shown(pilot, "decay_after")


async def test_against_a_file_of_another_run_where_the_line_has_moved() -> None:
    before = moved(await side_of(FakeSource(pid=77, start=20)), -4)
    app = TaskScopeApp(FakeSource(), clock=lambda: 1000.0, baseline=(before, "before.json"))
    async with app.run_test(size=(160, 40)) as pilot:
        screen = await until_shown(pilot, "against before.json +4,000 tasks")
        assert "Δ base" in screen
        leak = next(
            line
            for line in screen.split("\n")
            if "231 record_failure" in line and "Δ" not in line and "+4,000" in line
        )
        assert "decay_after" in leak
        await pilot.press("D")
        screen = await until_shown(pilot, "moved, was line 227")
        assert "of pid 77" in screen
        assert "since before.json, 2026-" in screen


async def test_a_file_against_a_file(tmp_path: Path) -> None:
    for name, start in (("a", 5), ("b", 65)):
        await record(tmp_path / name, 3, FakeSource(start=start))
    before = await side_of(RecordedSource(str(tmp_path / "a")))
    app = TaskScopeApp(RecordedSource(str(tmp_path / "b")), clock=lambda: 1000.0, baseline=(before, "a"))
    async with app.run_test(size=(160, 40)) as pilot:
        await until_shown(pilot, "▣ recording")
        await pilot.press("D")
        screen = await until_shown(pilot, "since a, 2026-")
        assert "+6,000" in screen


async def test_a_baseline_outlasts_a_restart() -> None:
    fakes = [FakeSource(), FakeSource(pid=4200, start=200)]

    async def back() -> Source | None:
        return fakes[1]

    app = TaskScopeApp(fakes[0], reconnect=back, clock=lambda: 1000.0)
    async with app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "● live")
        await pilot.press("b")
        fakes[0].end()
        await until_shown(pilot, "pid 4200")
        await until_shown(pilot, "since baseline +14,000 tasks")
        await pilot.press("D")
        await until_shown(pilot, "of pid 4121")
        assert "executor.py:231" in screen_text(app)
