"""What answering costs the program: work in all, and the longest piece in which nobody else runs.

In a child of its own, by the clock of the thread that does it.  A plain walk over all tasks, which asks each
only whether it is done, is what all others are compared with.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.harness import table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).with_name("request_costs.py")

MOST = 40
"""Times the cost of a plain walk that any list or view may take; it was 250 with shared futures."""

LONGEST = 5.0
"""Milliseconds, of all slices but one in a hundred.  A slice is 0.3; collections of garbage come on top."""


@pytest.mark.parametrize(
    ("kind", "size"), [("shared futures", 100_000), ("one task", 100_000), ("1,500 sites", 300_000)]
)
def test_what_requests_cost(kind: str, size: int) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, kind, str(size)], stdout=subprocess.PIPE, text=True, check=True
    )
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    walk = next(row["seconds"] for row in rows if row["name"] == "ages")
    table(
        f"{size:,} tasks, {kind}",
        ["", "ms in all", "x a walk", "µs a task", "longest ms"],
        [
            [
                row["name"],
                f"{row['seconds'] * 1e3:.1f}",
                f"{row['seconds'] / walk:.2f}",
                f"{row['seconds'] / size * 1e6:.2f}",
                f"{row['longest'] * 1e3:.2f}",
            ]
            for row in rows
        ],
    )
    for row in rows:
        assert row["seconds"] < MOST * walk, row["name"]
        assert row["usual"] * 1e3 < LONGEST, row["name"]
        if row["name"].startswith("a page"):
            assert row["seconds"] < walk, "a page costs what it shows"
