"""R in the app: the file is the one that `record` writes, whatever happens to the target meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from taskscope.sources.recorded import RecordedSource
from taskscope.tui.app import TaskScopeApp
from tests.tui.fake_source import FakeSource
from tests.tui.running import SIZES, running
from tests.tui.screen_text import screen_text, until, until_shown
from tests.tui.test_findings import Saved

if TYPE_CHECKING:
    from pathlib import Path

    from taskscope.sources.base import Source


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def moments(path: Path) -> list[int]:
    """The live tasks of each sample."""
    source = RecordedSource(str(path))
    await source.open()
    found = [sample.tasks.live for sample in source.every_sample()]
    await source.close()
    return found


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_starts_and_stops_a_recording(tmp_path: Path, size: tuple[int, int]) -> None:
    fake = FakeSource()
    async with running(fake, size) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press("R")
        await until_shown(pilot, "▶ rec")
        (other,) = fake.others
        other.advance(3)
        capture = app.context.capture
        assert capture is not None
        await until(pilot, lambda: capture.samples == 4)
        await pilot.press("R")
        screen = await until_shown(pilot, "Recorded 4 samples")
        assert "▶ rec" not in screen
        assert other.closed
    (path,) = tmp_path.glob("taskscope-orders-4121-*.rec")
    assert path.name in screen or size[0] < 100
    assert await moments(path) == [fake.sample().tasks.live + 100 * n + n % 2 for n in range(4)]


async def test_leaving_the_app_ends_the_file(tmp_path: Path) -> None:
    fake = FakeSource()
    async with running(fake) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press("R")
        capture = app.context.capture
        assert capture is not None
        await until(pilot, lambda: capture.samples == 1)
    (path,) = tmp_path.glob("*.rec")
    assert len(await moments(path)) == 1
    assert fake.others[0].closed


async def test_it_goes_on_when_the_target_restarts(tmp_path: Path) -> None:
    fakes = [FakeSource(), FakeSource(start=5)]

    async def back() -> Source | None:
        return fakes[1]

    app = TaskScopeApp(fakes[0], reconnect=back, clock=lambda: 1000.0)
    async with app.run_test(size=(120, 30)) as pilot:
        await until_shown(pilot, "● live")
        await pilot.press("R")
        capture = app.context.capture
        assert capture is not None
        await until(pilot, lambda: capture.samples == 1)
        fakes[0].others[0].end()
        fakes[0].end()
        await until(pilot, lambda: capture.samples == 2)
        assert "▶ rec" in screen_text(app)
        await pilot.press("R")
        await until_shown(pilot, "Recorded 2 samples")
    (path,) = tmp_path.glob("*.rec")
    assert len(await moments(path)) == 2


async def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskscope.tui.capturing.file_name", lambda *_: str(tmp_path / "no" / "a.rec"))
    async with running(FakeSource(), (120, 30)) as (app, pilot):
        await until_shown(pilot, "● live")
        await pilot.press("R")
        await until_shown(pilot, "Recording stopped: cannot write")
        assert app.context.capture is None


async def test_a_saved_state_is_not_recorded(tmp_path: Path) -> None:
    fake = Saved()
    async with running(fake, (120, 30)) as (_, pilot):
        await until_shown(pilot, "saved state")
        await pilot.press("R")
        await until_shown(pilot, "This key is for a live target, and this is a file.")
    assert not list(tmp_path.iterdir())
