"""Why only an agent that counts runs in a free-threaded build (``$TASKSCOPE_FREE_THREADED``)."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import pythons
from tests.bench.free_threaded_target import COUNTERS, READERS
from tests.bench.harness import ROOT, table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

SECONDS = "5"


@pytest.mark.parametrize("version", pythons.FREE_THREADED)
def test_only_counters_that_one_thread_writes_are_exact(version: str) -> None:
    python, target = pythons.require(version), Path(__file__).with_name("free_threaded_target.py")
    rows = []
    for what in (*COUNTERS, *READERS):
        for eager in ([], ["eager"]):
            ran = subprocess.run(
                [python, target, what, SECONDS, *eager],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            made, born, ended = map(int, ran.stdout.split() if ran.returncode == 0 else "000")
            how = "ended well" if ran.returncode == 0 else f"status {ran.returncode}"
            if ran.returncode < 0:
                how = signal.Signals(-ran.returncode).name
            counts = [f"{made - born:,}", f"{made - ended:,}"] if what in COUNTERS else ["–", "–"]
            rows.append([what, *(eager or ["–"]), f"{made:,}", *counts, how])
            if what == "counting":
                assert (born, ended) == (made, made), ran.stderr
    table(
        f"Four loops in four threads of Python {version} for {SECONDS} s, another thread that collects",
        ["who counts or reads", "tasks", "made", "births missed", "ends missed", "the program"],
        rows,
    )
