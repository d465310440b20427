"""Snapshot files with something hostile in them: no traceback, no hang, bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from taskscope import model, wire
from tests.integration.children import REPO, STANDING, running, says, taskscope

if TYPE_CHECKING:
    from pathlib import Path

MAX_MB = 500


def attack(folder: Path, rounds: int, seed: int, app: int) -> dict[str, Any]:
    """What became of so many mutated files."""
    with running(STANDING.replace("300", "30")) as child:
        says(child, "standing")
        taken = taskscope("snapshot", str(child.pid), "-o", str(folder / "good.json"))
        assert taken.returncode == 0, taken.stderr
    _enrich(folder / "good.json")
    words = (str(folder / "good.json"), str(rounds), str(seed), str(app))
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack.mutated_files", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=REPO,
        env={"PATH": "/usr/bin:/bin", "TEXTUAL_ANIMATIONS": "none", "XDG_CONFIG_HOME": str(folder)},
    )
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"mutated files: {counts}")
    return counts


def _enrich(path: Path) -> None:
    """Adds what a fresh process has none of: a finding, a stall, a history."""
    whole = json.loads(path.read_bytes())
    frame, now = model.Frame("/app/main.py", 7, "work"), whole["sample"]["monotonic"]
    site = whole["sites"][0]["id"]
    whole["findings"] = wire.pack(
        [
            model.Finding(
                *("leak", "task", site, frame, frame, "work", 9, 1.5, now - 9, "9 live"),
                evidence={"why": "growth", "moves": {"fds": {"each": 1.0, "correlation": 0.9}}},
                cause=model.Cause("orphan", "orphaned", ("a", "b"), "c"),
                projection=model.Projection("fds", 9.0, 99.0, 1.5, 3600.0, 1800.0, None, (site,)),
            )
        ]
    )
    stall = model.Stall(0, now - 5, 1.5, True, None, ())
    whole["stalls"] = [{**wire.pack(stall), "stack": 0}]
    times = [now - 3.0, now - 2.0, now - 1.0]
    whole["history"] = {**{name: [1.0, None, 3.0] for name in model.History.__slots__}, "times": times}
    past = model.SiteHistory(site, tuple(times), (1, 2, 3), (1, 2, 3), (0, 0, 0))
    whole["site_history"] = [wire.pack(past)]
    path.write_text(json.dumps(whole))


def judge(counts: dict[str, Any]) -> None:
    assert not counts["faults"], json.dumps(counts, indent=1)
    assert counts["refused"] > 0 < counts["read"]
    assert counts["peak MB"] < MAX_MB


def test_a_few_mutated_files(tmp_path: Path) -> None:
    judge(attack(tmp_path, 60, 1, 10))


@pytest.mark.attack
@pytest.mark.timeout(1800)
def test_thousands_of_mutated_files(tmp_path: Path) -> None:
    judge(attack(tmp_path, 6_000, 2, 40))
