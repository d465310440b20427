"""What the findings say of programs that leak, programs that hang and healthy ones, as a table.

    python -m tests.corpus.score [--late SECONDS] [--for SECONDS,SECONDS] [--python PATH] [NAME ...]

Every program runs as a process of its own, all at once, judged as the app and ``watch`` judge.  ``--late``
starts them plain and attaches after so many seconds: tasks older than the agent, imputed sites.  ``--for``:
how long after attaching they are judged.

What is right, each program says itself: see ``program.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.attach.errors import AttachError
from taskscope.sources.base import SourceError
from taskscope.sources.pump import Pump
from taskscope.sources.resolve import resolve
from tests.corpus.program import CORPUS, SURE, Program, cause_of, place, programs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from taskscope.model import Finding
    from taskscope.sources.base import Source

_ATTACHING = asyncio.Lock()
"""One at a time, on a machine that all programs share; who waits takes none of the threads that judge."""

APART = 0.7
"""Seconds between the starts of two programs, so that they do not wait for each other's imports."""


def told_of(program: Program, moment: float) -> Told | None:
    """The first of what is said of what is wrong with it."""
    for rank, finding in enumerate(program.said.get(moment, ())):
        if program.is_meant(finding):
            right = program.is_right_line(finding), program.is_right_cause(finding)
            return Told(finding, rank == 0, *right)
    return None


def verdict(program: Program, moment: float) -> str:
    """A few words on what was said at a moment."""
    if moment not in program.said:
        return program.trouble[:70] or "?"
    told = told_of(program, moment)
    words = [str(told)] if told else ["NOTHING"] if program.is_faulty else []
    words += [
        f"FALSE {each.coroutine} {place(each.site)} ({cause_of(each)})" for each in program.false(moment)
    ]
    return ", ".join(words) or "calm"


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a fault: how surely, whether above all else, and whether line and cause are right."""

    finding: Finding
    first: bool
    line: bool
    cause: bool

    @property
    def is_sure(self) -> bool:
        return self.finding.level in SURE

    def __str__(self) -> str:
        finding = self.finding
        words = [f"{finding.level} {finding.rate_per_min:g}/min"]
        if not self.is_sure:
            words = [f"{finding.level.upper()} ({finding.evidence.get('why', '-')})"]
        words.append("first" if self.first else "NOT FIRST")
        words.append("line" if self.line else f"LINE {place(finding.user_site or finding.site)}")
        words.append(f"({cause_of(finding)})" if self.cause else f"CAUSE ({cause_of(finding)})")
        return " ".join(words)


async def observe(
    program: Program, python: str, late: float, moments: tuple[float, ...], wait: float
) -> None:
    """Runs one program, after a wait, and keeps what is said about it."""
    await asyncio.sleep(wait)
    before = () if late else ("-m", "taskscope", "run", "--name", program.path.stem)
    async with started(program, python, before=before) as pid:
        await asyncio.sleep(late or 2)
        try:
            await judge(program, pid, moments)
        except (SourceError, AttachError, OSError) as error:
            program.trouble = str(error)


@contextlib.asynccontextmanager
async def started(
    program: Program, python: str, *arguments: str, before: tuple[str, ...] = ()
) -> AsyncIterator[int]:
    """The pid of a program, which is ended afterwards with all that it has started."""
    environment = {**os.environ, "PYTHONPATH": str(CORPUS.parents[1])}
    environment.pop("PYTEST_CURRENT_TEST", None)  # some packages behave differently under test
    child = await asyncio.create_subprocess_exec(
        python, *before, str(program.path), *arguments, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield child.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


async def reach(pid: int) -> Source:
    """A source on the process; it may still be starting."""
    for _ in range(20):
        with contextlib.suppress(SourceError, AttachError):
            return await _reach(pid)
        await asyncio.sleep(1)
    return await _reach(pid)


async def _reach(pid: int) -> Source:
    async with _ATTACHING:
        return await asyncio.to_thread(resolve, str(pid))


async def judged(pid: int) -> AsyncGenerator[tuple[float, tuple[Finding, ...]]]:
    """As ``taskscope watch`` does: the findings after each sample, and the seconds since the first."""
    source = await reach(pid)
    pump = Pump(source, await source.open())
    begun = None
    try:
        async for sample in pump.samples():
            begun = sample.monotonic if begun is None else begun
            yield sample.monotonic - begun, await pump.judged()
    finally:
        await source.close()


async def judge(program: Program, pid: int, moments: tuple[float, ...]) -> None:
    """Keeps what is said at each moment."""
    async with contextlib.aclosing(judged(pid)) as course:
        async for passed, findings in course:
            for moment in moments:
                if passed >= moment and moment not in program.said:
                    program.said[moment] = findings
            if len(program.said) == len(moments):
                return


def corpus() -> list[Program]:
    """Every program, the faulty ones first."""
    return programs("leaking", "hanging", "healthy")


def summary(programs: list[Program], moment: float) -> str:
    """How many leaks are named as such, of how many each part is right at any level, and false ones."""
    faulty = [each for each in programs if each.is_faulty]
    told = [told for each in faulty if (told := told_of(each, moment))]
    right = {
        "at level leak or hang": sum(each.is_sure for each in told),
        "first": sum(each.first for each in told),
        "right line": sum(each.line for each in told),
        "right cause": sum(each.cause for each in told),
        "all of it": sum(each.is_sure and each.first and each.line and each.cause for each in told),
    }
    false = [each.path.stem for each in programs if each.false(moment)]
    words = [f"{number} {word}" for word, number in right.items()]
    words.append(f"false {len(false)}" + (f": {', '.join(false)}" if false else ""))
    return f"{moment:g} s after attaching, of {len(faulty)} faults: {', '.join(words)}"


def seconds(text: str) -> tuple[float, ...]:
    return tuple(sorted(float(each) for each in text.split(",")))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--for", type=seconds, default=(60.0, 180.0), dest="moments")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    every = [*corpus(), *programs("cases")] if options.names else corpus()
    wanted = [each for each in every if not options.names or each.path.stem in options.names]
    left_out = [(each, lack) for each in wanted if (lack := each.missing(options.python))]
    found = [each for each in wanted if each not in [program for program, _ in left_out]]
    await asyncio.gather(
        *(
            observe(each, options.python, options.late, options.moments, number * APART)
            for number, each in enumerate(found)
        )
    )
    for program in found:
        cells = "".join(f"  {verdict(program, moment):<72}" for moment in options.moments)
        print(f"{program.kind} {program.path.stem:<36}{cells}".rstrip())
    for moment in options.moments:
        print(summary(found, moment))
    for program, lack in left_out:
        print(f"left out: {program.path.stem} needs {', '.join(lack)}")


if __name__ == "__main__":
    asyncio.run(main())
