"""A recording in the app: it shows any moment as it was, plays, and says what it does not hold."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from taskscope.sources.recorded import RecordedSource
from tests.recordings import record
from tests.tui.fake_source import WALL, FakeSource
from tests.tui.running import SIZES, running
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from textual.pilot import Pilot

BEGIN, SECONDS = 5, 130


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """From 5 s after the start of a service that gains 100 tasks a second."""
    path = tmp_path_factory.mktemp("played") / "a.rec"
    asyncio.run(record(path, SECONDS, FakeSource(start=BEGIN)))
    return str(path)


def at(seconds: float) -> str:
    """The time of day so long after the recording begins."""
    return time.strftime("%H:%M:%S", time.localtime(WALL + BEGIN + seconds))


async def shown_at(pilot: Pilot[None], seconds: int) -> str:
    """The screen, once it shows that moment: the slider and the counts."""
    await until_shown(pilot, f" {at(seconds)} +")
    return await until_shown(pilot, f"tasks {100 * (BEGIN + seconds) + 61 + (BEGIN + seconds) % 2:,}")


@pytest.mark.parametrize("size", SIZES)
async def test_it_opens_at_the_end_with_the_verdict(path: str, size: tuple[int, int]) -> None:
    async with running(RecordedSource(path), size) as (_, pilot):
        screen = await shown_at(pilot, SECONDS)
        assert "▣ recording" in screen
        day = time.strftime("%Y-%m-%d", time.localtime(WALL))
        assert (f"   {day} {at(SECONDS)}, " in screen and " ago" in screen) or size[0] < 100
        assert " LEAK " in screen
        assert "executor.py:231 record_failure" in screen
        slider = next(line for line in screen.split("\n") if "●" in line)
        assert slider.startswith(" ‖ ")
        assert slider.rstrip().endswith(f"{at(SECONDS)}  1x")
        assert len(slider) == size[0]


async def test_keys_for_live_targets_say_so_and_are_not_listed(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (app, pilot):
        screen = await shown_at(pilot, SECONDS)
        assert " w Save" not in screen
        for key in "wRci":
            await pilot.press(key)
            await until_shown(pilot, "This key is for a live target, and this is a file.")
            app.context.status("")


async def test_steps_go_back_and_on(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (_, pilot):
        await shown_at(pilot, SECONDS)
        await pilot.press("left_square_bracket")
        await shown_at(pilot, SECONDS - 10)
        await pilot.press("left_square_bracket", "left_square_bracket", "right_square_bracket")
        await shown_at(pilot, SECONDS - 20)
        await pilot.press("left_curly_bracket")
        assert "+0.0s" in await shown_at(pilot, 0)
        await until(pilot, lambda: " LEAK " not in screen_text(pilot.app))
        await pilot.press("right_curly_bracket")
        await shown_at(pilot, SECONDS)
        await until_shown(pilot, " LEAK ")


async def test_rates_and_charts_are_of_the_moment_shown(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (app, pilot):
        await shown_at(pilot, SECONDS)
        await pilot.press(*["left_square_bracket"] * 6)
        screen = await shown_at(pilot, SECONDS - 60)
        assert "+6,000" in screen
        store = app.context.store
        assert store.history.times[-1] == store.now
        assert all(row.series.times[-1] <= store.now for row in store.sites.values())


async def test_n_goes_to_where_the_finding_begins(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (app, pilot):
        await shown_at(pilot, SECONDS)
        await pilot.press("n")
        await until_shown(pilot, "No other finding begins after this moment.")
        await pilot.press("left_curly_bracket")
        await shown_at(pilot, 0)
        await pilot.press("n")
        screen = await until_shown(pilot, "A finding begins at ")
        await until(pilot, lambda: bool(app.context.store.findings.top))
        assert "executor.py:231 record_failure" in screen


async def test_space_plays_to_the_end_and_starts_again(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (app, pilot):
        await shown_at(pilot, SECONDS)
        playback = app.context.playback
        assert playback is not None
        await pilot.press(*["greater_than_sign"] * 4)
        await until_shown(pilot, "Plays 30 seconds per second.")
        await pilot.press("space")
        await until(pilot, lambda: playback.position < playback.source.end)
        await until_shown(pilot, " ▶ ")
        await shown_at(pilot, SECONDS)
        await until(pilot, lambda: not playback.playing)
        await pilot.press("less_than_sign")
        await until_shown(pilot, "Plays 10 seconds per second.")


async def test_a_click_on_the_slider_goes_there(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (app, pilot):
        screen = await shown_at(pilot, SECONDS)
        row = next(y for y, line in enumerate(screen.split("\n")) if "●" in line)
        line = screen.split("\n")[row]
        await pilot.click(offset=(line.index("━"), row))
        await shown_at(pilot, 0)
        assert app.context.playback is not None
        await pilot.click(offset=(2, row))  # beside the bar
        await shown_at(pilot, 0)


async def test_a_view_shows_what_was_recorded_and_says_what_was_not(path: str) -> None:
    async with running(RecordedSource(path), (160, 40)) as (_, pilot):
        await shown_at(pilot, SECONDS)
        await pilot.press("2")
        await until_shown(pilot, "5 threads")
        await pilot.press("6")
        await until_shown(pilot, "650 timers")
        await until_shown(pilot, "Session.expire")
        await pilot.press("7")
        await until_shown(pilot, "Not recorded at this time")
        await pilot.press("2")
        await until_shown(pilot, "5 threads")
        await pilot.press("escape", "t")
        await until_shown(pilot, "read_stream")


async def test_a_site_shows_its_recorded_details(path: str) -> None:
    async with running(RecordedSource(path), (160, 50)) as (_, pilot):
        await shown_at(pilot, SECONDS)
        await pilot.press("enter")
        await until_shown(pilot, "line_231()")
        await until_shown(pilot, "asyncio.sleep")
        assert "Task-" in screen_text(pilot.app)


async def test_the_brackets_keep_their_meaning_on_a_live_target() -> None:
    async with running(FakeSource(), (160, 40)) as (app, pilot):
        await until_shown(pilot, "● live")
        before = app.context.long_lived
        await pilot.press("right_square_bracket")
        assert app.context.long_lived > before
        assert "+0.0s" not in screen_text(app)
