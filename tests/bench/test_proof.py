"""What it costs a large program to be asked whether anything can wake its tasks.

The walk goes outwards from the tasks, over 20,000 objects at most, so the size of the heap does not matter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent_client import AgentClient
from tests.bench.harness import table

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).with_name("proof_target.py")
ROOT = Path(__file__).parents[2]

SECONDS = 5.0
LONGEST = 2.0
"""Milliseconds in which nobody else can run, of all slices but one in a hundred.  A slice is 0.3."""


@pytest.mark.parametrize("objects", [20_000, 2_000_000])
def test_what_a_proof_costs(objects: int) -> None:
    child = subprocess.Popen(
        [sys.executable, PROGRAM, str(objects)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            told = json.loads(child.stdout.readline())

            def lateness() -> list[float]:
                assert child.stdin is not None
                assert child.stdout is not None
                child.stdin.write("\n")
                child.stdin.flush()
                return sorted(json.loads(child.stdout.readline()))

            lateness()
            time.sleep(SECONDS)
            calm = lateness()
            asked, end = 0, time.monotonic() + SECONDS
            with AgentClient(told["agent"]) as client:
                while time.monotonic() < end:
                    for site in told["sites"]:
                        client.ask("facts", site=site)
                        asked += 1
            busy = lateness()
        finally:
            child.kill()
    table(
        f"proofs on a heap of {objects:,} objects, ms",
        ["", "CPU", "longest slice", "p99 slice"],
        [[name, *(f"{each * 1e3:.2f}" for each in costs)] for name, *costs in told["costs"]],
    )
    table(
        "lateness of the loop, ms",
        ["", "p50", "p99", "worst"],
        [
            [
                name,
                *(f"{late[int(len(late) * part)] * 1e3:.2f}" for part in (0.5, 0.99)),
                f"{late[-1] * 1e3:.2f}",
            ]
            for name, late in (("calm", calm), (f"{asked / SECONDS:.0f} sites asked a second", busy))
        ],
    )
    for _, _, _, usual in told["costs"]:
        assert usual * 1e3 < LONGEST
