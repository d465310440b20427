"""Makes the pictures of the README: ``python -m tests.screenshots [--age SECONDS]``.

The real app on the real leaky order service, which runs for a while first so that there is something to see.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.sources.resolve import resolve
from taskscope.tui.app import TaskScopeApp

if TYPE_CHECKING:
    from textual.pilot import Pilot

FOLDER = Path(__file__).parents[1] / "screenshots"
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
    app = TaskScopeApp(resolve(str(pid)))
    app.terminal = "truecolor"  # whatever this one is
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


def main() -> None:
    """Starts the service, waits, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--age", type=float, default=100.0, help="seconds that the service runs first")
    age = parser.parse_args().age
    FOLDER.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "taskscope", "demo", "orders", "--headless"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TASKSCOPE_DIR"] = folder
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
            assert demo.stdout is not None
            _, pid, _ = demo.stdout.readline().split()
            try:
                time.sleep(age)
                for suffix, size in SIZES.items():
                    asyncio.run(take(int(pid), suffix, size))
            finally:
                demo.terminate()


if __name__ == "__main__":
    main()
