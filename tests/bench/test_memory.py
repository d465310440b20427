"""What each live task costs in memory."""

from __future__ import annotations

import pytest

from tests.bench.harness import Child, median, table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

TASKS = 100_000
REPEAT = 3


async def test_memory_for_each_live_task() -> None:
    grown: dict[str, list[float]] = {"bare": [], "agent": []}
    start: dict[str, list[float]] = {"bare": [], "agent": []}
    for _ in range(REPEAT):
        for mode, found in grown.items():
            async with Child(mode) as child:
                await child.do("grow", tasks=1_000)  # what is allocated once
                got = await child.do("grow", tasks=TASKS)
            found.append((got["after"] - got["before"]) / (TASKS - 1_000))
            start[mode].append(got["before"])
    bare, ours = median(grown["bare"]), median(grown["agent"])
    fixed = {mode: median(values) / 1e6 for mode, values in start.items()}
    table(
        f"Memory for each live task (resident set, {TASKS:,} tasks, medians of {REPEAT} processes)",
        ["", "bytes a task", "added", "ratio", "with 1,000 tasks"],
        [
            ["no agent", f"{bare:.0f}", "0", "1.00", f"{fixed['bare']:.1f} MB"],
            ["agent", f"{ours:.0f}", f"{ours - bare:.0f}", f"{ours / bare:.2f}", f"{fixed['agent']:.1f} MB"],
        ],
    )
    assert ours - bare < 400
