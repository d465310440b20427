"""Drives ``failure_points.py``: which functions can fail at which moment, and with what result."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOMENTS = ("arming", "running", "answering", "stopping")
ERRORS = ("RuntimeError", "OSError", "MemoryError")

_ROOT = Path(__file__).parents[2]
_PROGRAM = str(Path(__file__).with_name("failure_points.py"))


@dataclass
class Outcome:
    """``problems``: what the program noticed or kept, by function and error."""

    runs: int = 0
    problems: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{name}: {'; '.join(found)}" for name, found in self.problems.items()]
        return "\n  ".join([f"{len(self.problems)} harmed the program", *lines])


def points(python: Path | str, moment: str) -> list[str]:
    """Our functions that are called at that moment."""
    with _child(python, moment) as child:
        assert child.stdout is not None
        names = child.stdout.read().split()
        assert child.wait() == 0
    return names


def attack(python: Path | str, moment: str, pairs: Sequence[tuple[str, str]]) -> Outcome:
    """Tries each function with each error; a harmed child is not reused."""
    outcome = Outcome()
    while outcome.runs < len(pairs):
        before = outcome.runs
        rest = [word for pair in pairs[before:] for word in pair]
        with _child(python, moment, *rest) as child:
            assert child.stdout is not None
            for line in child.stdout:
                tried = json.loads(line)
                outcome.runs += 1
                if tried["problems"]:
                    outcome.problems[f"{tried['name']} ({tried['error']})"] = tried["problems"]
            status = child.wait()
        if status or outcome.runs == before:
            name, error = pairs[outcome.runs]
            outcome.problems[f"{name} ({error})"] = [f"the program ended with {status}"]
            outcome.runs += 1
    return outcome


@contextmanager
def _child(python: Path | str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The program in its own process, with its own socket directory."""
    with tempfile.TemporaryDirectory(prefix="ts-") as place, tempfile.TemporaryFile("w+") as errors:
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "TASKSCOPE_DIR": place}
        with subprocess.Popen(
            [str(python), _PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as child:
            try:
                yield child
            finally:
                child.kill()
