"""How long one waits for the first answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from tests.bench.harness import Child, median, table
from tests.terminal import Terminal

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

REPEAT = 11
COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "taskscope --help": ("-m", "taskscope", "--help"),
    "taskscope attach --help": ("-m", "taskscope", "attach", "--help"),
    "taskscope ps": ("-m", "taskscope", "ps"),
    "import textual.app": ("-c", "import textual.app"),
    "import aiomonitor": ("-c", "import aiomonitor"),
}


def seconds(command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True, check=False)
    return time.perf_counter() - began


def test_commands_start_fast() -> None:
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEAT):
        for name, command in COMMANDS.items():
            took[name].append(seconds(command))
    bare = median(took["python -c pass"])
    table(
        f"Start to end of a command (best and median of {REPEAT})",
        ["", "best ms", "median ms", "median, python = 1"],
        [
            [name, f"{min(each) * 1e3:.0f}", f"{median(each) * 1e3:.0f}", f"{median(each) / bare:.1f}"]
            for name, each in took.items()
        ],
    )
    assert min(took["taskscope --help"]) < 0.1


async def test_attach_paints_the_first_view_fast() -> None:
    took = []
    async with Child("agent") as child:
        await child.do("grow", tasks=10_000)
        for _ in range(5):
            began = time.perf_counter()
            async with Terminal([sys.executable, "-m", "taskscope", "attach", str(child.pid)]) as terminal:
                await terminal.until("target.py")
                took.append(time.perf_counter() - began)
                terminal.press("q")
                await terminal.ended()
            await asyncio.sleep(0.2)
    table(
        "taskscope attach PID to the first view with the target's sites in it (of 5)",
        ["", "best s", "median s"],
        [["attach", f"{min(took):.2f}", f"{median(took):.2f}"]],
    )
    assert min(took) < 1.5
