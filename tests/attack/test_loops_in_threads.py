"""Many loops in constantly switching threads: no error of ours reaches the program, and no task is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.children import REPO
from tests.pythons import require

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import asyncio, json, sys, threading, time
import taskscope
version, seconds, interval, kind = sys.version, float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
if kind == "uvloop":
    import uvloop
    make = uvloop.new_event_loop
else:
    make = asyncio.new_event_loop
handled, ended, turns = [], time.monotonic() + seconds, [0]
def handler(loop, context): handled.append(str(context.get("exception") or context["message"]))
async def job():
    await asyncio.sleep(0)
    sum(range(300))
async def main():
    asyncio.get_running_loop().set_exception_handler(handler)
    while time.monotonic() < ended:
        await asyncio.gather(*(job() for _ in range(5)))
        await asyncio.sleep(0.001)
        turns[0] += 1
def work():
    while time.monotonic() < ended:
        loop = make()
        try: loop.run_until_complete(asyncio.wait_for(main(), 0.5 if kind == "short" else 3600))
        except TimeoutError: pass
        finally: loop.close()
sys.setswitchinterval(interval)
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads[:6]: thread.start()
taskscope.start("threads")
for thread in threads[6:]: thread.start()
while time.monotonic() < ended - 0.5:
    state = taskscope.snapshot()
    time.sleep(0.01)
for thread in threads: thread.join()
sys.setswitchinterval(0.005)
time.sleep(1.2)
state = taskscope.snapshot()
print(json.dumps({
    "handled": handled, "turns": turns[0], "disarmed": state["sample"]["disarmed"],
    "loops": [loop["running"] for loop in state["loops"]],
    "lasting": [stall for stall in state["stalls"] if not stall["over"]],
    "asleep": [stall for stall in state["stalls"] if stall["why"] == "asleep"]}))
"""


def attacked(version: str, tmp_path: Path, seconds: float, interval: float, kind: str) -> None:
    tmp_path.chmod(0o700)
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    python = require(version) if kind != "uvloop" else sys.executable
    done = subprocess.run(
        [python, "-c", PROGRAM, str(seconds), str(interval), kind],
        capture_output=True,
        text=True,
        timeout=seconds + 40,
        check=False,
        env=os.environ | {"PYTHONPATH": str(REPO), "TASKSCOPE_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    print(
        f"Python {version}, {kind}, switch interval {interval:g} s: {found['turns']:,} turns,",
        found["handled"],
    )
    assert found["handled"] == []
    assert found["turns"] > 100
    assert (found["disarmed"], found["lasting"], found["asleep"]) == ([], [], [])
    assert not any(found["loops"])


@pytest.mark.attack
@pytest.mark.parametrize("version", ["3.11", "3.13", "3.15"])
@pytest.mark.parametrize("interval", [1e-6, 1e-4])
@pytest.mark.parametrize("kind", ["long", "short"])
def test_attack(version: str, tmp_path: Path, interval: float, kind: str) -> None:
    attacked(version, tmp_path, 8, interval, kind)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_loops_in_threads_are_looked_at_and_left_alone(version: str, tmp_path: Path) -> None:
    attacked(version, tmp_path, 2, 1e-5, "short")


def test_loops_that_are_handed_a_callback_share_no_context(tmp_path: Path) -> None:
    attacked("3.11", tmp_path, 2, 1e-5, "uvloop")
