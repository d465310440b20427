"""What is read of programs from outside, beside what the agent in them says: tasks by line, threads by stack.

    python -m tests.corpus.seen_from_outside [--python PATH] [NAME ...]

runs every program of the corpus and prints how much of both pictures was compared, and where they differ.

The programs go on meanwhile.  So the agent is asked between two looks from outside, and what it says has to
be between them: no fewer tasks of a coroutine at a line than both show, no more than one does; and the same
stack of a thread, if both show the same.  What differs between both looks is counted as moved; of a coroutine
whose tasks move, the agent may see one at another line as well.  A task may leave a line and be back by the
second look: so all is compared again until nothing differs, `TRIES` times at most; the best time counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.attach.presence import agent_in
from taskscope.model import requests
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.live import LiveSource
from taskscope.sources.outside.source import OutsideSource
from tests.corpus.program import Program, programs
from tests.corpus.score import started
from tests.patience import FACTOR

if TYPE_CHECKING:
    from taskscope.model import Frame
    from taskscope.sources.base import Source

AT_ONCE = 6
"""Programs that run at a time."""

BEGINS, WITHIN = 6.0, 40.0
"""Seconds after which something is to be seen of a program, and within which its agent has to answer."""

TRIES, APART = 10, 0.3

Line = tuple[str, int, str]
Place = tuple[str, Line]
"""A coroutine, and where its tasks wait."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Tasks by where they wait (those that run are nowhere), and the stacks of the program's threads."""

    tasks: Counter[Place]
    threads: dict[int, tuple[Line, ...]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Tasks and threads that were compared, those that moved, and in what both pictures differ."""

    tasks: int = 0
    threads: int = 0
    moving_tasks: int = 0
    moving_threads: int = 0
    differ: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[int, int]:
        """The smaller, the more it says."""
        return len(self.differ), self.moving_tasks + self.moving_threads

    def __str__(self) -> str:
        moving = f" ({self.moving_tasks} and {self.moving_threads} moved)" if any(self.rank) else ""
        return f"{self.tasks} tasks and {self.threads} threads compared{moving}"


async def agreement(pid: int) -> Agreement:
    """Compares both for a process that has an agent.  Raises OSError, SourceError: it has ended."""
    point = agent_in(pid)
    if point is None:
        raise ProcessLookupError("it has ended")
    agent, outside = LiveSource(point.path), OutsideSource(pid)
    try:
        await agent.open()
        await outside.open()
        looks = outside.samples()
        await anext(looks)
        best = None
        for _ in range(TRIES):
            before, inside = await picture(outside), await picture(agent)
            await anext(looks)
            found = compared(before, inside, await picture(outside))
            best = min(best or found, found, key=lambda each: each.rank)
            if not any(best.rank):
                break
            await asyncio.sleep(APART * FACTOR)
        assert best is not None
        return best
    finally:
        await agent.close()
        await outside.close()


def compared(before: Picture, inside: Picture, after: Picture) -> Agreement:
    """``inside`` against two looks from outside, one before it and one after."""
    moving = {coroutine for coroutine, _ in (before.tasks - after.tasks) | (after.tasks - before.tasks)}
    compared, moved, differ = 0, 0, []
    for place in before.tasks.keys() | after.tasks.keys() | inside.tasks.keys():
        low, high = sorted((before.tasks[place], after.tasks[place]))
        compared, moved = compared + low, moved + high - low
        found, passes = inside.tasks[place], high == 0 and place[0] in moving
        if not low <= found <= high and not passes:
            differ.append(
                f"{place[0]} at {_short(place[1])}: {low} to {high} from outside, {found} for the agent"
            )
    threads = {each: stack for each, stack in before.threads.items() if after.threads.get(each) == stack}
    for each, stack in threads.items():
        if (found_stack := inside.threads.get(each, ())) != stack:
            differ.append(
                f"thread {each}: {_listed(stack)} from outside, {_listed(found_stack)} for the agent"
            )
    return Agreement(compared, len(threads), moved, len(before.threads) - len(threads), tuple(differ))


async def picture(source: Source) -> Picture:
    return Picture(await _tasks(source), await _threads(source))


async def _tasks(source: Source) -> Counter[Place]:
    found: Counter[Place] = Counter()
    after = None
    while True:
        page = await source.ask(requests.Tasks(after=after, limit=1000))
        for each in page.tasks:
            if each.parked is not None and each.parked.wait != "running":
                found[each.coroutine, _line(each.parked.user_frame or each.parked.frame)] += 1
        after = page.after
        if after is None:
            return found


async def _threads(source: Source) -> dict[int, tuple[Line, ...]]:
    """Those that run Python code, without ours."""
    found = {}
    for each in await source.ask(requests.Threads()):
        if each.python and each.frame is not None and each.native_id is not None:
            try:
                stack = (await source.ask(requests.Thread(each.ident))).stack
            except NotAvailable:
                continue  # it has just ended
            found[each.native_id] = tuple(_line(frame) for frame in stack)
    return {native: stack for native, stack in found.items() if "/taskscope/agent/" not in str(stack)}


def _line(frame: Frame) -> Line:
    return os.path.realpath(frame.file), frame.line, frame.function


def _short(line: Line) -> str:
    return f"{os.path.basename(line[0])}:{line[1]} {line[2]}"


def _listed(stack: tuple[Line, ...]) -> str:
    return " < ".join(map(_short, stack)) or "nothing"


async def observed(program: Program, python: str) -> Agreement:
    """Runs one, with the agent from its first line.  Raises OSError, SourceError: it could not be seen."""
    async with started(program, python, before=("-m", "taskscope", "run")) as pid:
        async with asyncio.timeout(WITHIN * FACTOR):
            while agent_in(pid) is None:
                await asyncio.sleep(0.1)
        await asyncio.sleep(BEGINS)
        return await agreement(pid)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    every = programs("leaking", "hanging", "healthy")
    wanted = [each for each in every if not options.names or each.path.stem in options.names]
    here = [each for each in wanted if not each.missing(options.python)]
    room, found = asyncio.Semaphore(AT_ONCE), {}

    async def row(program: Program) -> None:
        name = f"{program.kind} {program.path.stem}"
        async with room:
            try:
                found[name] = await observed(program, options.python)
            except (OSError, SourceError) as error:
                found[name] = Agreement(differ=(f"not seen: {error!r}",))
        print(f"{name:<48} {found[name]}", *found[name].differ, sep="\n    ", flush=True)

    await asyncio.gather(*map(row, here))
    results = found.values()
    alike = sum(not each.differ for each in results)
    print(f"{alike} of {len(found)} programs look the same from outside and from inside")
    for kind in "tasks", "threads":
        told, moved = (sum(getattr(each, name) for each in results) for name in (kind, f"moving_{kind}"))
        print(f"{told:,} {kind} compared, {moved:,} moved")
    print("left out, for want of packages:", len(wanted) - len(here))


if __name__ == "__main__":
    asyncio.run(main())
