"""The attack of test_mutated_files.py, in a process of its own, whose memory can be measured.

Usage: ``python -m tests.attack.mutated_files SNAPSHOT ROUNDS SEED APP`` prints a line of JSON with counts;
every APP-th snapshot that is accepted is walked through in the app, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.analysis.diff import compare
from taskscope.export import changes, snapshot_parts
from taskscope.export.snapshot import SnapshotError
from taskscope.export.trace_stream import TraceStream
from taskscope.model import requests
from taskscope.model.changes import Side
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.saved import SavedSource
from taskscope.tui.app import TaskScopeApp
from taskscope.wire import WireError
from tests.attack.mutations import bytes_mutated, encoded, mutated

if TYPE_CHECKING:
    from collections.abc import Awaitable

SECONDS, IN_APP = 10, 30
"""Seconds of CPU for one file at most: a busy machine is no fault of ours."""

PATIENCE = 600
"""Seconds for one file in any case: what waits for nothing takes no CPU."""


class Hang(BaseException):
    """One file takes too long."""


def too_long(*_: object) -> None:
    raise Hang


def allow(seconds: int) -> None:
    """Raises Hang after so many seconds of CPU; 0: no more."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(PATIENCE if seconds else 0)


async def questions(source: SavedSource) -> None:
    """Every request that a saved state can answer."""
    sample = await anext(source.samples())
    sites = [site.id for site in sample.new_sites][:20]
    page = await source.ask(requests.Tasks(limit=50))
    newest = await source.ask(requests.Tasks(order="newest", limit=50))
    threads = await source.ask(requests.Threads())
    asked: list[Awaitable[Any]] = [
        source.ask(requests.History(3600)),
        source.ask(requests.SiteHistory(tuple(sites), 3600)),
        source.ask(requests.Ages(None)),
        source.ask(requests.Parked(None)),
        source.ask(requests.Groups("parent")),
        source.ask(requests.Groups("parked")),
        source.ask(requests.Tree("parent", None)),
        source.ask(requests.Tree("await", None)),
        source.ask(requests.Ended(100)),
        source.ask(requests.Stalls()),
        source.ask(requests.Loops()),
        source.ask(requests.Source("/dev/zero", 1, 5)),
        *(source.ask(requests.Site(site)) for site in sites),
        *(source.ask(requests.Task(task.serial)) for task in (*page.tasks[:10], *newest.tasks[:10])),
        *(source.ask(requests.Tree("parent", task.serial)) for task in page.tasks[:10]),
        *(source.ask(requests.Thread(thread.ident)) for thread in threads[:10]),
    ]
    for each in asked:
        with contextlib.suppress(NotAvailable):
            await each
    with contextlib.redirect_stdout(io.StringIO()):
        side = Side(sample, source.findings, source.texts(()))
        print(*changes.markdown(compare(side, side), side, side))


async def walk(path: Path) -> None:
    """Walks through the app's views."""
    app = TaskScopeApp(SavedSource(str(path)), clock=lambda: 1000.0)
    async with app.run_test(size=(100, 30)) as pilot:
        for key in ("down", "enter", "enter", "escape", "escape", "t", "escape", "f", "escape", *"2345"):
            await pilot.press(key)
        await pilot.press("1", "g", "g", "g", "s")


async def round_of(path: Path) -> str:
    """What became of one file: ``refused`` with a sentence, or ``read``."""
    source = SavedSource(str(path))
    try:
        await source.open()
    except SourceError as error:
        told(str(error))
        return "refused"
    await questions(source)
    return "read"


def streamed(path: Path) -> str:
    """The same of reading it part by part, as ``export`` does."""
    try:
        trace = TraceStream(io.BytesIO().write)
        snapshot_parts.feed(path, trace.part)
        trace.close()
    except SnapshotError as error:
        told(str(error))
        return "refused in parts"
    except (WireError, snapshot_parts.UnorderedError):
        return "left in parts"
    return "read in parts"


def told(sentence: str) -> None:
    """Ensures that it is a sentence."""
    assert "\n" not in sentence, sentence
    assert len(sentence) < 500, sentence
    assert sentence.isprintable(), sentence


def main() -> None:
    whole = json.loads(Path(sys.argv[1]).read_bytes())
    rounds, seed, app = (int(word) for word in sys.argv[2:5])
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for which in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(which, too_long)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            dice = random.Random(f"{seed} {number}")
            path = Path(folder, "s.json.gz" if number % 3 == 0 else "s.json")
            data = encoded(mutated(whole, dice))
            if number % 5 == 1:
                data = bytes_mutated(data, dice)
            if path.suffix == ".gz":
                data = gzip.compress(data, compresslevel=1)
                if number % 2:
                    data = bytes_mutated(data, dice)
            path.write_bytes(data)
            allow(SECONDS)
            try:
                counts[streamed(path)] += 1
                became = asyncio.run(round_of(path))
                if became == "read" and counts["read"] % app == 0:
                    allow(IN_APP)
                    asyncio.run(walk(path))
                    counts["in the app"] += 1
            except Hang:
                became = "hung"
                faults[f"round {number} hung: {traceback.format_exc(limit=-3)[-900:]}"] += 1
            except Exception:
                became = "traceback"
                faults[f"round {number}: {traceback.format_exc(limit=-3)[-900:]}"] += 1
            finally:
                allow(0)
            counts[became] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({**counts, "peak MB": peak, "faults": faults.most_common(20)}))


if __name__ == "__main__":
    main()
