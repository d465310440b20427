"""What the findings say of programs that leak and programs that do not, as a table.

    python -m tests.corpus.score [--late SECONDS] [--for SECONDS,SECONDS] [--python PATH] [NAME ...]

Every program runs as a process of its own, all at once, judged as the app and ``watch`` judge.  ``--late``
starts them plain and attaches after so many seconds: tasks older than the agent, imputed sites.  ``--for``:
how long after attaching they are judged.

A program that leaks says in its docstring what is right: ``Leak``, the coroutines; ``Shows``, the causes of
which one is named; ``Line``, ``FILE FUNCTION`` in a library, where no line of its own is marked ``# LEAK``.
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
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach.errors import AttachError
from taskscope.sources.base import SourceError
from taskscope.sources.pump import Pump
from taskscope.sources.resolve import resolve

if TYPE_CHECKING:
    from taskscope.model import Finding, Frame
    from taskscope.sources.base import Source

HERE = Path(__file__).parent
SURE = ("leak", "hang")
"""Levels that say for certain that something is wrong."""

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

    def declared(self, word: str) -> tuple[str, ...]:
        found = re.search(rf"^{word}: (.+)$", self.path.read_text(), re.MULTILINE)
        return tuple(found[1].split(", ")) if found else ()

    @cached_property
    def marked(self) -> frozenset[int]:
        """Lines that end in ``# LEAK``."""
        lines = enumerate(self.path.read_text().splitlines(), 1)
        return frozenset(number for number, line in lines if line.endswith("# LEAK"))

    def guilty(self, moment: float) -> list[Finding]:
        """Findings that call the line that leaks by that name, or a hang."""
        return [each for each in self.leaked(moment) if self.is_meant(each)]

    def leaked(self, moment: float) -> list[Finding]:
        return [each for each in self.said.get(moment, ()) if each.level in SURE]

    def false(self, moment: float) -> list[Finding]:
        return [each for each in self.leaked(moment) if not self.is_meant(each)]

    def is_meant(self, finding: Finding) -> bool:
        return self.leaks and finding.coroutine.endswith(self.declared("Leak"))

    def is_right_line(self, finding: Finding) -> bool:
        """Whether a line that the finding shows, the user's or the library's, is the guilty one."""
        return any(self._is_guilty(frame) for frame in (finding.site, finding.user_site) if frame is not None)

    def _is_guilty(self, frame: Frame) -> bool:
        if frame.line in self.marked and Path(frame.file) == self.path:
            return True
        places = (each.rsplit(" ", 1) for each in self.declared("Line"))
        return any(frame.file.endswith(file) and frame.function.endswith(name) for file, name in places)

    def is_right_cause(self, finding: Finding) -> bool:
        return finding.cause is not None and finding.cause.pattern in self.declared("Shows")

    def told(self, moment: float) -> Told | None:
        """The first of what is said of the leak."""
        for place, finding in enumerate(self.said.get(moment, ())):
            if self.is_meant(finding):
                right = self.is_right_line(finding), self.is_right_cause(finding)
                return Told(finding, place == 0, *right)
        return None

    def verdict(self, moment: float) -> str:
        """A few words on what was said at a moment."""
        if moment not in self.said:
            return self.trouble[:70] or "?"
        told = self.told(moment)
        words = [str(told)] if told else ["NOTHING"] if self.leaks else []
        words += [
            f"FALSE {each.coroutine} {place(each.site)} ({cause_of(each)})" for each in self.false(moment)
        ]
        return ", ".join(words) or "calm"


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a leak: how surely, whether above all else, and whether line and cause are right."""

    finding: Finding
    first: bool
    line: bool
    cause: bool

    @property
    def is_leak(self) -> bool:
        return self.finding.level in SURE

    def __str__(self) -> str:
        finding = self.finding
        words = [f"{finding.level} {finding.rate_per_min:g}/min"]
        if not self.is_leak:
            words = [f"{finding.level.upper()} ({finding.evidence.get('why', '-')})"]
        words.append("first" if self.first else "NOT FIRST")
        words.append("line" if self.line else f"LINE {place(finding.user_site or finding.site)}")
        words.append(f"({cause_of(finding)})" if self.cause else f"CAUSE ({cause_of(finding)})")
        return " ".join(words)


def place(frame: Frame) -> str:
    return f"{Path(frame.file).name}:{frame.line}"


def cause_of(finding: Finding) -> str:
    return finding.cause.pattern if finding.cause else "-"


async def observe(
    program: Program, python: str, late: float, moments: tuple[float, ...], wait: float
) -> None:
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
        await judge(program, child.pid, moments)
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


async def judge(program: Program, pid: int, moments: tuple[float, ...]) -> None:
    """As ``taskscope watch`` does."""
    source = await reach(pid)
    pump = Pump(source, await source.open())
    begun = None
    try:
        async for sample in pump.samples():
            begun = sample.monotonic if begun is None else begun
            findings = await pump.judged()
            for moment in moments:
                if sample.monotonic - begun >= moment and moment not in program.said:
                    program.said[moment] = findings
            if len(program.said) == len(moments):
                return
    finally:
        await source.close()


def missing(program: Program, python: str) -> list[str]:
    """Which of the modules that it ``Needs`` and the programs that it ``Runs`` are not here."""
    modules, programs = (program.declared(word) for word in ("Needs", "Runs"))
    return [
        *(each for each in modules if not importable(each, python)),
        *(each for each in programs if shutil.which(each) is None),
    ]


@cache
def importable(module: str, python: str) -> bool:
    command = [python, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def corpus() -> list[Program]:
    """Every program, those that leak first."""
    return [Program(path) for kind in ("leaking", "healthy") for path in sorted(HERE.glob(f"{kind}/*.py"))]


def summary(programs: list[Program], moment: float) -> str:
    """How many leaks are named as such, of how many each part is right at any level, and false ones."""
    leaking = [each for each in programs if each.leaks]
    told = [told for each in leaking if (told := each.told(moment))]
    right = {
        "at level leak": sum(each.is_leak for each in told),
        "first": sum(each.first for each in told),
        "right line": sum(each.line for each in told),
        "right cause": sum(each.cause for each in told),
        "all of it": sum(each.is_leak and each.first and each.line and each.cause for each in told),
    }
    false = [each.path.stem for each in programs if each.false(moment)]
    words = [f"{number} {word}" for word, number in right.items()]
    words.append(f"false {len(false)}" + (f": {', '.join(false)}" if false else ""))
    return f"{moment:g} s after attaching, of {len(leaking)} leaks: {', '.join(words)}"


def seconds(text: str) -> tuple[float, ...]:
    return tuple(sorted(float(each) for each in text.split(",")))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--for", type=seconds, default=(60.0, 180.0), dest="moments")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    programs = [each for each in corpus() if not options.names or each.path.stem in options.names]
    left_out = [(each, lack) for each in programs if (lack := missing(each, options.python))]
    programs = [each for each in programs if each not in [program for program, _ in left_out]]
    await asyncio.gather(
        *(
            observe(each, options.python, options.late, options.moments, number * APART)
            for number, each in enumerate(programs)
        )
    )
    for program in programs:
        cells = "".join(f"  {program.verdict(moment):<72}" for moment in options.moments)
        print(f"{program.path.parent.name} {program.path.stem:<36}{cells}".rstrip())
    for moment in options.moments:
        print(summary(programs, moment))
    for program, lack in left_out:
        print(f"left out: {program.path.stem} needs {', '.join(lack)}")


if __name__ == "__main__":
    asyncio.run(main())
