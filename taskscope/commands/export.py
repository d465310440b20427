"""``taskscope export``: live tasks as a flame graph or a table, for the tools that read these."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.commands.common import TARGET_HELP, CommandError, add_via, say, written
from taskscope.text import plural

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable, Iterator

    from taskscope.export.tasks import TaskStream
    from taskscope.sources.base import Source
    from taskscope.sources.recorded import RecordedSource

    Write = Callable[[bytes], object]

FORMATS = ("folded", "speedscope", "trace", "csv")

SAY_EVERY = 2.0
"""Seconds between two lines of progress."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Writes what other tools read.  folded: await stacks with the number of tasks, for flame graphs; "
        "speedscope: the same for speedscope.app; trace: tasks over time, by line and loop, for "
        "ui.perfetto.dev; csv: a row for each live task, or for each sample of a recording.  Without -o, to "
        "stdout."
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    add_via(parser)
    parser.add_argument("--format", required=True, choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("-o", "--output", metavar="FILE", help="file to write, whole or not at all")


def main(options: Namespace) -> int:
    """Writes the file."""
    import asyncio
    import sys

    from taskscope.export.whole import writing

    if options.output is None:
        asyncio.run(_export(options, sys.stdout.buffer.write))
        sys.stdout.buffer.flush()
        return 0
    with written(options.output), writing(Path(options.output)) as file:
        said = asyncio.run(_export(options, file.write))
    say(f"{options.output}: {said}")
    return 0


async def _export(options: Namespace, write: Write) -> str:
    """Writes everything; returns how much it was."""
    from taskscope.sources.recorded import RecordedSource
    from taskscope.sources.resolve import resolve
    from taskscope.sources.saved import SavedSource
    from taskscope.wire import WireError

    source = resolve(options.target, via=options.via, progress=say)
    try:
        if not isinstance(source, SavedSource):
            await source.open()
        if not isinstance(source, RecordedSource):
            return await _tasks(source, options.format, write)
        if options.format == "trace":
            from taskscope.sources.traced import RecordedTrace

            trace = RecordedTrace(source, write)
            await _told(source, trace.steps())
            return f"{plural(trace.tasks, 'task')}, {plural(trace.samples, 'sample')}"
        if options.format != "csv":
            raise CommandError(
                f"a recording does not hold the stacks of all tasks; for --format {options.format} give a "
                "process or a snapshot"
            )
        return await _samples(source, write)
    except WireError as error:
        raise CommandError(f"cannot export {options.target}: it is damaged: {error}") from None
    finally:
        await source.close()


async def _tasks(source: Source, format: str, write: Write) -> str:
    if format == "csv":
        return await _rows(source, write)
    if format == "trace":
        from taskscope.export.trace_stream import TraceStream

        trace = TraceStream(write)
        await _feed(source, trace)
        trace.close()
        return plural(trace.tasks, "task")
    from taskscope.export import flame
    from taskscope.export.tasks import StackCounts, TaskStream

    counts = StackCounts()
    stream = TaskStream(counts)
    await _feed(source, stream)
    for text in (flame.folded if format == "folded" else flame.speedscope)(stream, counts):
        write(text)
    return plural(stream.tasks, "task")


async def _rows(source: Source, write: Write) -> str:
    from taskscope.export import csv_file
    from taskscope.export.tasks import TaskStream

    rows = _Rows(write)
    rows.stream = TaskStream(rows)
    write(csv_file.row(csv_file.TASKS))
    await _feed(source, rows.stream)
    return plural(rows.stream.tasks, "task")


class _Rows:
    """Writes a row for each task."""

    stream: TaskStream

    def __init__(self, write: Write) -> None:
        self._write = write

    def take(self, row: dict[str, Any], stack: int | None) -> None:
        from taskscope.export.csv_file import of_task

        self._write(of_task(row, self.stream))


async def _feed(source: Source, stream: TaskStream) -> None:
    """Passes a snapshot to ``stream`` part by part, of a process or a file."""
    import time

    from taskscope.export import snapshot_parts
    from taskscope.model import requests
    from taskscope.sources.live import LiveSource
    from taskscope.sources.saved import SavedSource

    said = time.monotonic()

    def take(section: str, value: Any) -> None:
        nonlocal said
        stream.part(section, value)
        if section == "tasks" and time.monotonic() >= said + SAY_EVERY:
            said = time.monotonic()
            say(plural(stream.tasks, "task"))

    if isinstance(source, LiveSource):
        await source.parts(requests.Snapshot(), take)
        return
    if isinstance(source, SavedSource):
        try:
            snapshot_parts.feed(source.path, take)
        except snapshot_parts.UnorderedError:
            await source.open()
        else:
            return
    stream.whole(await source.ask(requests.Snapshot()))


async def _samples(source: RecordedSource, write: Write) -> str:
    from taskscope.export import csv_file

    number = 0

    def rows() -> Iterator[float]:
        nonlocal number
        for sample in source.every_sample():
            write(csv_file.of_sample(sample))
            number += 1
            yield sample.wall

    write(csv_file.row(csv_file.SAMPLES))
    await _told(source, rows())
    return plural(number, "sample")


async def _told(source: RecordedSource, moments: Iterable[float]) -> None:
    """Goes through a recording, says now and then how far it is, and lets Ctrl-C interrupt it."""
    import asyncio
    import time

    said = time.monotonic()
    for moment in moments:
        await asyncio.sleep(0)
        if time.monotonic() >= said + SAY_EVERY:
            said = time.monotonic()
            share = (moment - source.begin) / max(source.end - source.begin, 1.0)
            say(f"{min(max(share, 0.0), 1.0):.0%} of the recording")
