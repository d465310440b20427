"""Makes the pictures of the README: ``python -m tests.screenshots [live] [group] [saved] [--age SECONDS]``.

The real app on the real leaky order service, which runs for a while first so that there is something to see;
and what is saved of it: a recording, played and compared with one of the fixed service, and a report, in a
real browser (``chromium``).  On a machine that others use, put ``chrt -r 1`` before it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.sources.group import observed
from taskscope.sources.resolve import resolve
from taskscope.sources.sides import side_of
from taskscope.tui.app import TaskScopeApp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.pilot import Pilot

    from taskscope.model.changes import Side
    from taskscope.sources.base import Source

FOLDER = Path(__file__).parents[1] / "screenshots"
ALL = ["live", "group", "saved"]
SIZES = {"": (120, 36), "-80x24": (80, 24)}


async def shown(pilot: Pilot[None], text: str) -> None:
    """Waits until the screen has that text on it, and for the answers still under way."""
    end = time.monotonic() + 60
    while text not in pilot.app.export_screenshot(simplify=True).replace("&#160;", " "):
        if time.monotonic() > end:
            raise SystemExit(f"{text!r} does not appear on the screen")
        await pilot.pause(0.1)
    await pilot.pause(5)


async def take(pid: int, suffix: str, size: tuple[int, int]) -> None:
    """Overview, site and task at one size."""
    app = app_on(resolve(str(pid)))
    async with app.run_test(size=size) as pilot:
        await shown(pilot, "LEAK")
        app.save_screenshot(f"overview{suffix}.svg", str(FOLDER))
        if suffix:
            return
        await pilot.press("enter")
        await shown(pilot, "decay_after")
        app.save_screenshot("site.svg", str(FOLDER))
        await pilot.press("enter")
        await shown(pilot, "asyncio.sleep")
        app.save_screenshot("task.svg", str(FOLDER))
        await pilot.press("t")
        await shown(pilot, "tasks by parent")
        app.save_screenshot("tree.svg", str(FOLDER))


async def together(pid: int) -> None:
    """A group of workers, of which one leaks."""
    app = app_on(observed([str(pid)], children=True))
    async with app.run_test(size=SIZES[""]) as pilot:
        await shown(pilot, "LEAK")
        await shown(pilot, "▲")
        app.save_screenshot("group.svg", str(FOLDER))


async def play(leaky: Path, fixed: Path) -> None:
    """A recording while it plays, and what changed since the fixed service."""
    async with app_on(resolve(str(leaky))).run_test(size=SIZES[""]) as pilot:
        await shown(pilot, "LEAK")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await shown(pilot, "LEAK")
        pilot.app.save_screenshot("replay.svg", str(FOLDER))
    since = await side_of(resolve(str(fixed))), fixed.name
    async with app_on(resolve(str(leaky)), since).run_test(size=SIZES[""]) as pilot:
        await shown(pilot, "LEAK")
        await pilot.press("D")
        await shown(pilot, "decay_after")
        pilot.app.save_screenshot("diff.svg", str(FOLDER))


def app_on(source: Source, baseline: tuple[Side, str] | None = None) -> TaskScopeApp:
    app = TaskScopeApp(source, baseline=baseline)
    app.terminal = "truecolor"  # whatever this one is
    return app


def report(recording: Path) -> None:
    """The first screen of the report, as a browser shows it."""
    page = recording.with_name("report.html")
    taskscope("report", str(recording), "-o", str(page))
    browser = ("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,1000")
    subprocess.run([*browser, f"--screenshot={FOLDER / 'report.png'}", page.as_uri()], check=True)


def taskscope(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "taskscope", *words], check=True)


@contextmanager
def orders(*options: str) -> Iterator[int]:
    """The pid of a service."""
    command = [sys.executable, "-m", "taskscope", "demo", "orders", "--headless", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        _, pid, _ = demo.stdout.readline().split()
        try:
            yield int(pid)
        finally:
            demo.terminate()


def main() -> None:
    """Starts the service, waits, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", choices=ALL, default=ALL)
    parser.add_argument("--age", type=float, default=100.0, help="seconds that the service runs first")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TASKSCOPE_DIR"] = folder
        if "live" in given.which:
            with orders() as pid:
                time.sleep(given.age)
                for suffix, size in SIZES.items():
                    asyncio.run(take(pid, suffix, size))
        if "group" in given.which:
            with orders("--workers", "4") as pid:
                time.sleep(given.age)
                asyncio.run(together(pid))
        if "saved" in given.which:
            leaky, fixed = Path(folder, "leaky.rec"), Path(folder, "fixed.rec")
            for path, options in ((leaky, ()), (fixed, ("--fixed",))):
                with orders(*options) as pid:
                    taskscope("record", str(pid), "-o", str(path), "--for", f"{given.age:g}s")
            asyncio.run(play(leaky, fixed))
            report(leaky)


if __name__ == "__main__":
    main()
