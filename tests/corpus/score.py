"""Precision and recall of the findings on programs that leak and programs that do not, as a table.

    python -m tests.corpus.score [--late SECONDS] [--python PATH] [NAME ...]

Every program runs as a process of its own, all at once, judged as the app and ``watch`` judge.  ``--late``
starts them plain and attaches after so many seconds: tasks older than the agent, imputed sites.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.errors import AttachError
from taskscope.sources.base import SourceError
from taskscope.sources.monitor import Monitor
from taskscope.sources.resolve import resolve

if TYPE_CHECKING:
    from taskscope.model import Finding
    from taskscope.sources.base import Source

HERE = Path(__file__).parent
MOMENTS = (60.0, 180.0)

APART = 0.7
"""Seconds between the starts of two programs, so that they do not wait for each other's imports."""


@dataclass
class Program:
    """One program of the corpus, and what was said about it at each moment."""

    path: Path
    said: dict[float, tuple[Finding, ...]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def leaks(self) -> bool:
        return self.path.parent.name == "leaking"

    def declared(self, word: str) -> str:
        found = re.search(rf"^{word}: (.+)$", self.path.read_text(), re.MULTILINE)
        return found[1] if found else ""

    def guilty(self, moment: float) -> list[Finding]:
        """Findings at level leak on the line that leaks."""
        names = tuple(self.declared("Leak").split(", "))
        return [each for each in self.leaked(moment) if self.leaks and each.coroutine.endswith(names)]

    def leaked(self, moment: float) -> list[Finding]:
        return [each for each in self.said.get(moment, ()) if each.level == "leak"]

    def verdict(self, moment: float) -> str:
        """A few words on what was said at a moment."""
        if moment not in self.said:
            return self.trouble[:46] or "?"
        named = self.guilty(moment) if self.leaks else self.leaked(moment)
        others = [each for each in self.leaked(moment) if each not in named]
        words = []
        if named:
            cause = named[0].cause.pattern if named[0].cause else "-"
            words.append(f"{'found' if self.leaks else 'FALSE'} {named[0].rate_per_min:g}/min ({cause})")
        elif self.leaks:
            suspects = [each for each in self.said[moment] if each.level == "suspect"]
            words.append("suspected" if suspects else "MISSED")
        if others:
            words.append(f"also {others[0].coroutine}")
        return ", ".join(words) or "calm"


async def observe(program: Program, python: str, late: float, wait: float) -> None:
    """Runs one program, after a wait, and keeps what is said about it."""
    await asyncio.sleep(wait)
    command = [python, str(program.path)]
    if not late:
        command = [python, "-m", "taskscope", "run", "--name", program.path.stem, str(program.path)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    child = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        await asyncio.sleep(late or 2)
        await judge(program, child.pid)
    except (SourceError, AttachError, OSError) as error:
        program.trouble = str(error)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # and what it has started
        await child.wait()


async def reach(pid: int) -> Source:
    """A source on the process; it may still be starting."""
    for _ in range(20):
        with contextlib.suppress(SourceError, AttachError):
            return await asyncio.to_thread(resolve, str(pid))
        await asyncio.sleep(1)
    return await asyncio.to_thread(resolve, str(pid))


async def judge(program: Program, pid: int) -> None:
    """As ``taskscope watch`` does."""
    source = await reach(pid)
    monitor = Monitor(source, await source.open())
    begun = None
    try:
        async for sample in source.samples():
            begun = sample.monotonic if begun is None else begun
            await monitor.feed(sample)
            findings = monitor.findings()
            for moment in MOMENTS:
                if sample.monotonic - begun >= moment and moment not in program.said:
                    program.said[moment] = findings
            if len(program.said) == len(MOMENTS):
                return
    finally:
        await source.close()


def missing(program: Program, python: str) -> list[str]:
    """Which of the modules that it ``Needs`` and the programs that it ``Runs`` are not here."""
    modules, programs = (program.declared(word).split(", ") for word in ("Needs", "Runs"))
    return [
        *(each for each in modules if each and not importable(each, python)),
        *(each for each in programs if each and shutil.which(each) is None),
    ]


@cache
def importable(module: str, python: str) -> bool:
    command = [python, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    programs = [Program(path) for path in sorted(HERE.glob("*ing/*.py")) + sorted(HERE.glob("healthy/*.py"))]
    if options.names:
        programs = [each for each in programs if each.path.stem in options.names]
    left_out = [(each, lack) for each in programs if (lack := missing(each, options.python))]
    programs = [each for each in programs if each not in [program for program, _ in left_out]]
    places = enumerate(programs)
    await asyncio.gather(
        *(observe(each, options.python, options.late, place * APART) for place, each in places)
    )
    for program in programs:
        cells = "".join(f"{program.verdict(moment):<48}" for moment in MOMENTS)
        print(f"{program.path.parent.name:<9}{program.path.stem:<30}{cells}")
    for moment in MOMENTS:
        leaking = [each for each in programs if each.leaks]
        found = sum(1 for each in leaking if each.guilty(moment))
        false = sum(1 for each in programs if not each.leaks and each.leaked(moment))
        false += sum(1 for each in leaking if len(each.leaked(moment)) > len(each.guilty(moment)))
        precision = found / (found + false) if found + false else 1.0
        print(f"{moment:.0f} s: found {found} of {len(leaking)}, false {false}, precision {precision:.0%}")
    for program, lack in left_out:
        print(f"left out: {program.path.stem} needs {', '.join(lack)}")


if __name__ == "__main__":
    asyncio.run(main())
