"""What the instrument costs for each task of trio's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.harness import table

pytest.importorskip("trio")
pytestmark = [pytest.mark.bench, pytest.mark.timeout(120)]

MOST = 0.8
"""Of the bare cost."""


def test_a_task_of_trio_costs_little_more() -> None:
    target = Path(__file__).with_name("trio_target.py")
    command = [sys.executable, "-m", "taskscope", "run", str(target)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    bare, with_us = map(float, ran.stdout.split())
    row = [f"{bare:.2f}", f"{with_us:.2f}", f"{with_us - bare:.2f}", f"{with_us / bare - 1:.2f}"]
    table("A task of trio's", ["bare µs", "with us µs", "added µs", "added, bare = 1"], [row])
    assert with_us - bare < bare * MOST
