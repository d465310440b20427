"""The CPU view: by site, callback and thread, with a flame graph for keyboard and mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from taskscope.sources.base import NotAvailable
from taskscope.tui.flame import Flame
from tests.tui.fake_source import FakeSource
from tests.tui.running import SIZES, click_line, running
from tests.tui.screen_text import until, until_shown

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.model import requests

CPU = "7"


@pytest.mark.parametrize("size", SIZES)
async def test_it_shows_who_uses_the_cpu_what_sampling_costs_and_the_calls(size: tuple[int, int]) -> None:
    async with running(FakeSource(), size) as (app, pilot):
        await until_shown(pilot, "● live")
        assert "cpu" not in app.context.source.asked  # type: ignore[attr-defined]
        await pilot.press(CPU)
        screen = await until_shown(pilot, "sampling costs 0.7 %")
        assert "CPU 99 % of a core" in screen
        table = [line.split() for line in screen.split("\n") if "%" in line]
        assert any("50 %     53 %  Scope.deliver" in line for line in screen.split("\n"))
        assert any("executor.py:231" in " ".join(line) and "40" in line for line in table)
        assert any("worker-3" in " ".join(line) for line in table)
        flame = app.screen.query_one(Flame)
        assert "all calls" in screen
        drawn = "\n".join(flame.render_line(y).text for y in range(3))
        assert drawn.index("▌Scope.deliver") < drawn.index("▏executor.py:231")
        assert "▏parse" in drawn


async def test_boxes_are_reached_by_arrows_enlarged_by_enter_and_esc_leads_back() -> None:
    async with running(FakeSource()) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(CPU)
        await until_shown(pilot, "all calls")
        flame = app.screen.query_one(Flame)
        await pilot.press("v")
        await until(pilot, lambda: flame.has_focus)
        await pilot.press("right", "down")
        await until_shown(pilot, "executor.py:244 decay_after, 40 % of a core, 10 % itself · all calls")
        await pilot.press("enter")
        assert flame.render_line(1).text.startswith("▌decay_after")
        assert "Scope.deliver" not in flame.render_line(0).text
        await pilot.press("escape", "escape")
        assert not flame.zoomed
        await pilot.press("escape")
        assert not flame.has_focus
        await pilot.press("escape")
        await until_shown(pilot, "creation sites")


async def test_a_row_shows_only_its_own_calls_and_a_click_selects_a_box() -> None:
    async with running(FakeSource()) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(CPU)
        await until_shown(pilot, "all calls")
        await pilot.press("down", "enter")
        screen = await until_shown(pilot, "this row only")
        flame = app.screen.query_one(Flame)
        assert "Scope.deliver" not in flame.render_line(0).text
        await click_line(pilot, screen, "▏parse", 10)
        await until_shown(pilot, "parse.py:40 parse, 30 % of a core, 30 % itself")
        await pilot.press("escape")
        await until_shown(pilot, "all calls")


async def test_a_source_that_cannot_say_says_so() -> None:
    class Mute(FakeSource):
        async def cpu(self, query: requests.Cpu) -> model.CpuSlice:
            raise NotAvailable("[/] this source does not know")

    async with running(Mute()) as (_, pilot):
        await until_shown(pilot, "● live")
        await pilot.press(CPU)
        screen = await until_shown(pilot, "[/] this source does not know.")
        assert screen.count("this source does not know") == 1
