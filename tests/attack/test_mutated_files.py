"""Snapshot files with something hostile in them: no traceback, no hang, bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

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


def judge(counts: dict[str, Any]) -> None:
    assert not counts["faults"], json.dumps(counts, indent=1)
    assert counts["refused"] > 0 < counts["read"]
    assert counts["peak MB"] < MAX_MB


def test_a_few_mutated_files(tmp_path: Path) -> None:
    judge(attack(tmp_path, 60, 1, 10))


@pytest.mark.attack
@pytest.mark.timeout(1800)
def test_thousands_of_mutated_files(tmp_path: Path) -> None:
    judge(attack(tmp_path, 5_000, 2, 20))
