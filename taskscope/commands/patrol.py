"""Watches with rules, for as long as the target or its name lives: ``watch --on``, and the companion."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

from taskscope.analysis.triggers import Triggers
from taskscope.commands.capture import FAILURES, Capture, Refused, Scene
from taskscope.commands.common import UsageError, checked_rules, say, until_told
from taskscope.model import requests
from taskscope.model.state import TargetState
from taskscope.sources.base import AgentGone, ConnectionLost, NotAvailable, SourceError, TargetGone
from taskscope.sources.following import comes_back, connections, opened, watch
from taskscope.sources.for_each import for_each
from taskscope.sources.group import AT_ONCE, group_of
from taskscope.sources.members import AGAIN, TRIES

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from taskscope.analysis.judge import Judge
    from taskscope.analysis.rules import Rule
    from taskscope.analysis.triggers import Event
    from taskscope.model import Finding, Hello, Sample, Stall
    from taskscope.sources.base import Source
    from taskscope.sources.choice import Found
    from taskscope.sources.group import GroupSource

    Say = Callable[[str], None]

_OF_REPORTS = (
    "max_growth", "max_percent", "max_memory_percent", "limits", "baseline", "ignore", "json",
    "follow", "junit", "github",
)  # fmt: skip
"""Options of ``watch`` that say what its report holds."""

RETRY = 30.0
"""Seconds after which what could not be done is tried again, if there is still reason to."""


def main(options: Namespace) -> int:
    """``taskscope watch TARGET… --on WORDS DO``: runs until told to end, or until every pid has ended."""
    given = [name for name in _OF_REPORTS if getattr(options, name)]
    if given:
        raise UsageError(f"--on writes no report: leave out --{given[0].replace('_', '-')}")
    rules = checked_rules(options.on)

    def tell(text: str) -> None:
        say(f"taskscope watch: {text}")

    patrol = Patrol(rules, tell)
    group = group_of(options.targets, children=options.children, via=options.via)

    async def run() -> None:
        async with asyncio.timeout(options.seconds):
            if group is not None:
                await watch_group(group, options.interval, patrol, tell)
            else:
                await watch_by_name(options.targets[0], options.interval, patrol, tell, options.via)

    return asyncio.run(until_told(run()))


async def watch_by_name(target: str, interval: float, patrol: Patrol, tell: Say, via: str = "") -> None:
    """Watches every process that ``target`` comes to name.  Raises SourceError if a pid is not there."""
    async with contextlib.aclosing(connections(target, tell, via=via)) as following:
        async for source, hello in following:
            try:
                await watch(source, hello, interval, [patrol])
            except SourceError as gone:
                tell(str(gone))


async def watch_group(group: GroupSource, interval: float, patrol: Patrol, tell: Say) -> None:
    """Watches every process of a group by itself, as they come; all share the bounds of the rules.

    Raises SourceError if there is none, and none can come.
    """
    choice, room = group.choice, asyncio.Semaphore(AT_ONCE)
    lasting = choice.lasting or any(map(comes_back, choice.targets))
    if not await asyncio.to_thread(choice.find):
        if not lasting:
            raise SourceError(choice.nobody)
        tell(f"waiting for {choice.name}: no such process runs")

    async def attend(found: Found) -> None:
        await asyncio.sleep(found.young)
        for _ in range(TRIES if found.pid else 1):
            try:
                async with room:
                    source = await asyncio.to_thread(group.connect, found)
                    hello = await opened(source)
                try:
                    await watch(source, hello, interval, [patrol.beside()])
                finally:
                    await source.close()
            except SourceError as problem:
                tell(f"{found.pid or found.target}: {problem}")
                gone = isinstance(problem, TargetGone) and not isinstance(problem, AgentGone)
                if gone or isinstance(problem, ConnectionLost):
                    return
            await asyncio.sleep(AGAIN)  # it may only be starting, or running another program from now on

    await for_each(choice, attend, math.inf, lasting=lasting)


class Patrol:
    """Several rules on one target, over all its restarts."""

    def __init__(self, rules: Sequence[Rule], tell: Say) -> None:
        self._state = TargetState()
        self._guards = [_Guard(Capture(rule, tell), tell) for rule in rules]
        self._tell = tell

    def beside(self) -> Patrol:
        """The same for another process, within the same bounds."""
        other = Patrol((), self._tell)
        other._guards = [guard.beside() for guard in self._guards]
        return other

    def begin(self, hello: Hello) -> None:
        """Connected: to the same agent as before, or to another."""
        process = hello.process
        if self._state.begin(hello):
            return
        self._tell(f"watching {process.name} ({process.pid})")
        for guard in self._guards:
            guard.begin(hello)

    def apply(self, sample: Sample) -> None:
        """The next sample."""
        self._state.apply(sample)

    def recall(self, past: object) -> None:
        """History from before is for the judge alone."""

    async def look(self, source: Source, findings: tuple[Finding, ...], judge: Judge) -> None:
        """Lets the rules act on what was judged."""
        hello, sample = self._state.hello, self._state.sample
        assert hello is not None
        assert sample is not None
        scene = Scene(source, hello, self._state, findings, judge.judged)
        stalls = await self._stalls(source)
        for guard in self._guards:
            guard.look(sample, scene, stalls)

    async def end(self) -> None:
        """The connection has ended."""
        for guard in self._guards:
            await guard.end()

    async def _stalls(self, source: Source) -> tuple[Stall, ...]:
        if all(guard.rule.stall is None for guard in self._guards):
            return ()
        try:
            return await source.ask(requests.Stalls())
        except NotAvailable:
            return ()


class _Guard:
    """One rule: what it waits for, and its action under way, beside the samples."""

    def __init__(self, capture: Capture, tell: Say) -> None:
        self.rule = capture.rule
        self._tell = tell
        self._capture = capture
        self._triggers: Triggers
        self._acting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._refused = ""

    def beside(self) -> _Guard:
        return _Guard(self._capture.beside(), self._tell)

    def begin(self, hello: Hello) -> None:
        self._triggers = Triggers(self.rule, hello.process)
        for sentence in self._triggers.impossible():
            self._tell(f"{self.rule.text}: {sentence}, so that part never fires")

    def look(self, sample: Sample, scene: Scene, stalls: Sequence[Stall]) -> None:
        triggers, now = self._triggers, asyncio.get_running_loop().time()
        triggers.see(sample, scene.findings, stalls)
        due = tuple(triggers.due.values())
        if not due:
            self._refused = ""
        elif self._capture.recording:
            triggers.done(due)
            self._capture.note(due, scene, self._capture.recording)
        elif self._acting is None and now >= self._not_before:
            self._acting = asyncio.create_task(self._act(due, scene), name="taskscope-rule")

    async def _act(self, due: Sequence[Event], scene: Scene) -> None:
        try:
            await self._capture.act(due, scene, self._triggers.done)
            self._refused = ""
        except (Refused, *FAILURES) as error:
            self._not_before = asyncio.get_running_loop().time() + RETRY
            if str(error) != self._refused:
                self._refused = str(error)
                self._capture.note(due, scene, "", str(error))
        finally:
            self._acting = None

    async def end(self) -> None:
        """The target is gone, or we are told to end: what is under way is given up, or closed whole."""
        if self._acting is not None:
            self._acting.cancel()
            await asyncio.wait([self._acting])
