"""``taskscope snapshot``: saves the state of a process as JSON, to a file or stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.commands.common import (
    UsageError,
    add_read_only,
    add_targets,
    say,
    say_what_is_missing,
    source_of,
    written,
)
from taskscope.model import Judged, Silence, requests
from taskscope.text import early, plural, sentence, unseen

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.model import Hello
    from taskscope.sources.base import Source
    from taskscope.sources.group import GroupSource


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Saves the whole state of a process as JSON: sites, tasks, threads, stacks, history.  Of several "
        "processes, -o names a directory, which gets one file for each."
    )
    add_targets(parser)
    add_read_only(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write (default: stdout); .gz compresses"
    )
    parser.add_argument("--no-stacks", action="store_true", help="omit the stacks of tasks")


def main(options: Namespace) -> int:
    """Takes a snapshot and writes it."""
    import asyncio

    from taskscope.export.snapshot import save, text
    from taskscope.sources.group import GroupSource

    source = source_of(options)
    if isinstance(source, GroupSource):
        if options.output is None:
            raise UsageError("several processes need -o DIR, which gets one snapshot for each")
        with written(options.output):
            Path(options.output).mkdir(parents=True, exist_ok=True)
        return asyncio.run(_take_each(source, options))
    hello, snapshot = asyncio.run(_take(source, stacks=not options.no_stacks))
    if options.output is None:
        print(text(snapshot), flush=True)
    else:
        size = save(snapshot, options.output)
        tasks = f"{plural(len(snapshot.get('tasks', ())), 'task')}, " if hello.counts_tasks else ""
        say(f"{options.output}: {tasks}{size:,} bytes")
    _warn(hello, snapshot)
    return 0


def _warn(hello: Hello, snapshot: dict[str, Any]) -> None:
    """Says if the absence of findings in it means nothing."""
    from taskscope.checked import unpack, unpack_all

    for each in unseen(hello):
        say(f"{each}.")
    silences = unpack_all(Silence, snapshot["silences"])
    for silence in silences:
        say(sentence(silence.said))
    if silences:
        return
    judged = unpack(Judged, snapshot["judged"])
    if judged.early and all(each["level"] == "info" for each in snapshot["findings"]):
        say(f"{early(judged)}.")


async def _take_each(group: GroupSource, options: Namespace) -> int:
    """One file for each process of a group, in a directory; returns 3 if one is missing."""
    from taskscope.commands.record_group import file_name
    from taskscope.export.snapshot import save
    from taskscope.sources.base import SourceError

    missing = 0
    await group.open()
    try:
        for each in group.attendants:
            if each.state == "helper":
                continue
            if each.source is None or each.hello is None or not each.live:
                missing += each.state == "refused"
                say(f"taskscope snapshot: {each.pid or each.found.target}: {each.why}")
                continue
            path = Path(options.output) / f"{file_name(each.hello.process.name, each.pid)}.json.gz"
            try:
                size = save(await each.source.ask(requests.Snapshot(stacks=not options.no_stacks)), str(path))
            except SourceError as problem:
                missing += 1
                say(f"taskscope snapshot: {each.pid}: {problem}")
            else:
                say(f"{path}: {size:,} bytes")
    finally:
        await group.close()
    return 3 if missing else 0


async def _take(source: Source, *, stacks: bool) -> tuple[Hello, dict[str, Any]]:
    hello = await source.open()
    say_what_is_missing(hello)
    try:
        return hello, await source.ask(requests.Snapshot(stacks=stacks))
    finally:
        await source.close()
