"""The client's side of test_hostile_agent.py, in a process of its own, whose memory can be measured.

Usage: ``python -m tests.attack.hostile_rounds FAKE ROUNDS APP`` prints a line of JSON with counts; in every
APP-th round the app runs, in the others what ``watch`` and ``snapshot`` do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

from taskscope.commands.contract import finding_of_contract
from taskscope.commands.gate import Limits, checks
from taskscope.commands.observe import Observation, observe
from taskscope.commands.summary import report
from taskscope.export.snapshot import text
from taskscope.model import requests
from taskscope.sources.base import NotAvailable, SourceError, SourceMisbehaves, TargetSilent
from taskscope.sources.live import LiveSource
from taskscope.tui.app import TaskScopeApp

if TYPE_CHECKING:
    from collections.abc import Coroutine

SECONDS = 20.0
"""For one round at most, on a busy machine."""

PATIENCE = 1.0


async def observed(path: str) -> None:
    """What ``watch`` and ``snapshot`` do, plus every request."""
    source = LiveSource(path, patience=PATIENCE)
    try:
        observation = Observation(source, await source.open())
        await observe(observation, 0.3, 0.05, lambda sample: None)
        await questions(source, list(observation.sites)[:10])
        text(await source.ask(requests.Snapshot()))
        report(observation)
        checks(observation, Limits())
        json.dumps([finding_of_contract(each) for each in observation.findings])
    finally:
        await source.close()


async def questions(source: LiveSource, sites: list[int]) -> None:
    asked: list[Coroutine[Any, Any, Any]] = [
        source.ask(requests.History(3600)),
        source.ask(requests.SiteHistory(tuple(sites), 3600)),
        source.ask(requests.Tasks()),
        source.ask(requests.Ages(None)),
        source.ask(requests.Parked(None)),
        source.ask(requests.Groups("parked")),
        source.ask(requests.Tree("parent", None)),
        source.ask(requests.Threads()),
        source.ask(requests.Ended(100)),
        source.ask(requests.Stalls()),
        source.ask(requests.Loops()),
        source.ask(requests.Timers(keeps=1)),
        source.ask(requests.Resources()),
        source.ask(requests.Task(5)),
        source.ask(requests.Facts(1, (1.0, 2.0))),
    ]
    try:
        for each in asked:
            with contextlib.suppress(NotAvailable, SourceMisbehaves, TargetSilent):
                await each
    finally:
        for each in asked:
            each.close()


async def app(path: str) -> None:
    """Walks through the app's views."""
    shown = TaskScopeApp(LiveSource(path, patience=PATIENCE))
    async with shown.run_test(size=(100, 30)) as pilot:
        for key in (
            "down",
            "enter",
            "enter",
            "escape",
            "t",
            "escape",
            "f",
            "escape",
            "2",
            "3",
            "4",
            "5",
            "6",
            "1",
        ):
            await pilot.press(key)
            await asyncio.sleep(0.02)
        await pilot.press("g", "g", "g", "w")


async def main() -> None:
    path, rounds, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    slowest = 0.0
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.update(
            [f"in the loop: {context.get('message')} {context.get('exception')!r}"]
        )
    )
    for number in range(rounds):
        begun = time.monotonic()
        try:
            async with asyncio.timeout(SECONDS):
                await (app(path) if number % every == 0 else observed(path))
            counts["passed"] += 1
        except SourceError as error:
            counts[type(error).__name__] += 1
            sentence = str(error)
            if not sentence.isprintable() or len(sentence) > 1500:
                faults[f"a sentence: {sentence[:300]!r}"] += 1
        except TimeoutError:
            faults[f"round {number} hung"] += 1
        except Exception:
            faults[traceback.format_exc(limit=-4)[-1200:]] += 1
        slowest = max(slowest, time.monotonic() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    result = {**counts, "peak MB": peak, "slowest": round(slowest, 1), "faults": faults.most_common(20)}
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
