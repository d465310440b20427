"""``taskscope snapshot``: saves the state of a process as JSON, to a file or stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.commands.common import TARGET_HELP, add_via, say
from taskscope.model import Judged, requests
from taskscope.text import early, plural

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Saves the whole state of a process as JSON: sites, tasks, threads, stacks, history."
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    add_via(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write (default: stdout); .gz compresses"
    )
    parser.add_argument("--no-stacks", action="store_true", help="omit the stacks of tasks")


def main(options: Namespace) -> int:
    """Takes a snapshot and writes it."""
    import asyncio

    from taskscope.export.snapshot import save, text

    snapshot = asyncio.run(_take(options.target, options.via, stacks=not options.no_stacks))
    _warn(snapshot)
    if options.output is None:
        print(text(snapshot))
        return 0
    size = save(snapshot, options.output)
    say(f"{options.output}: {plural(len(snapshot.get('tasks', ())), 'task')}, {size:,} bytes")
    return 0


def _warn(snapshot: dict[str, Any]) -> None:
    """Says if the absence of findings in it means nothing."""
    from taskscope.checked import unpack

    judged = unpack(Judged, snapshot["judged"])
    if judged.early and all(each["level"] == "info" for each in snapshot["findings"]):
        say(f"{early(judged)}.")


async def _take(target: str, via: str, *, stacks: bool) -> dict[str, Any]:
    from taskscope.sources.resolve import resolve

    source = resolve(target, via=via, progress=say)
    await source.open()
    try:
        return await source.ask(requests.Snapshot(stacks=stacks))
    finally:
        await source.close()
