"""Recordings with something hostile in their lines: a sentence or a moment, never anything else."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.export.recording import RecordingWriter
from taskscope.export.recording_file import RecordingFile
from taskscope.model import requests
from taskscope.sources.base import NotAvailable, SourceError
from taskscope.sources.recorded import RecordedSource
from taskscope.sources.traced import RecordedTrace
from tests.attack.mutations import encoded, mutated
from tests.recordings import record

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 10
"""For one file, on a busy machine."""

Members = list[tuple[float, float, list[Any]]]


def members(path: Path) -> Members:
    """The lines of each member, with its times."""
    with closing(RecordingFile(path)) as file:
        return [
            (each.at, each.monotonic, [{kind: value} for kind, value in file.lines(number)])
            for number, each in enumerate(file.members)
        ]


def write(path: Path, whole: Members, chance: random.Random) -> None:
    """The same recording with some lines mutated, or in another order."""
    path.unlink(missing_ok=True)
    with closing(RecordingWriter(path)) as writer:
        for at, monotonic, lines in whole:
            made = [mutated(each, chance) if chance.random() < 0.1 else each for each in lines]
            if chance.random() < 0.1:
                chance.shuffle(made)
            writer.begin(at, monotonic, [encoded(each) + b"\n" for each in made])


async def walk(path: Path) -> str:
    """Every moment and every answer; what became of it."""
    source = RecordedSource(str(path))
    try:
        await source.open()
    except SourceError:
        return "refused"
    for share in (1.0, 0.0, 0.5, 0.9):
        await source.seek(source.begin + share * (source.end - source.begin))
        async for sample in source.samples():
            for query in (requests.History(1e6), requests.SiteHistory((1, 2, 3), 1e6), requests.Ended()):
                await _asked(source, query)
            assert sample.tasks is not None
        for question in list(source._moment.answers):
            await _asked(source, question)
        await source.advance(7)
    await source.next_finding()
    list(source.every_sample())
    list(RecordedTrace(source, lambda data: None).steps())
    source.texts(sample.new_sites)
    await source.close()
    return "read"


async def _asked(source: RecordedSource, question: requests.Request[Any]) -> None:
    try:
        await source.ask(question)
    except NotAvailable as problem:
        assert str(problem)


def attack(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    path, chance, counts = folder / "a.rec", random.Random(seed), {"read": 0, "refused": 0}
    asyncio.run(record(path, 70))
    whole = members(path)
    for _ in range(rounds):
        write(folder / "b.rec", whole, chance)
        begun = time.process_time()
        counts[asyncio.run(walk(folder / "b.rec"))] += 1
        assert time.process_time() - begun < SECONDS
    print(f"mutated recordings: {json.dumps(counts)}")
    return counts


def test_a_few_mutated_recordings(tmp_path: Path) -> None:
    assert attack(tmp_path, 20, 3)["read"] > 0


@pytest.mark.attack
@pytest.mark.timeout(1800)
def test_thousands_of_mutated_recordings(tmp_path: Path) -> None:
    assert attack(tmp_path, 4_000, 4)["read"] > 0
