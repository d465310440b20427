"""``taskscope ps``: lists the Python processes on this machine as a tree, those with an agent first."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from taskscope.commands.common import add_via, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from taskscope.attach.discover import PythonProcess
    from taskscope.sources.glance import Glance


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Lists the Python processes on this machine, those with an agent first, children below their "
        "parents.  The findings are what the agent's memory shows at once; `taskscope watch` takes longer "
        "and says more."
    )
    from taskscope.sources.listing import VALUES

    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="only processes with each WORD in pid, user, agent, command or folder",
    )
    parser.add_argument("--sort", choices=VALUES, metavar="COLUMN", help=f"sort by {', '.join(VALUES)}")
    add_via(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def main(options: Namespace) -> int:
    """Prints the list."""
    import asyncio

    from taskscope import endpoint
    from taskscope.attach import privilege
    from taskscope.attach.discover import processes
    from taskscope.sources.listing import apart, matches

    if options.via:
        from taskscope.sources.via import reached

        found = reached(options.via, say).processes()
    else:
        endpoint.sweep()
        found = processes()
    words = [word.lower() for word in options.words]
    found = tuple(each for each in found if matches(each, words))
    rows = asyncio.run(_rows(found, options.sort, options.via))
    if options.json:
        import json

        print(json.dumps(rows, indent=2))
    elif not rows and words:
        say("taskscope ps: no Python process matches")
    elif not rows:
        print("No Python process found (only those in this machine or container are visible).")
    else:
        _print(rows, apart(found))
    if not options.via and privilege.hides():
        say(f"taskscope ps: {privilege.HIDDEN}")
    return 0


async def _rows(found: tuple[PythonProcess, ...], sort: str | None, via: str) -> list[dict[str, Any]]:
    import asyncio

    from taskscope.sources.base import SourceMisbehaves
    from taskscope.sources.glance import glance
    from taskscope.sources.listing import VALUES

    async def look(process: PythonProcess) -> Glance | None:
        try:
            return await glance(process, via)
        except SourceMisbehaves as error:
            say(f"taskscope ps: {error}")
            return None

    pairs = list(zip(found, await asyncio.gather(*map(look, found)), strict=True))
    if sort:
        pairs.sort(key=lambda pair: VALUES[sort](*pair))
    return [_row(process, each) for process, each in pairs]


def _row(process: PythonProcess, seen: Glance | None) -> dict[str, Any]:
    sample = seen.sample if seen is not None else None
    return {
        "pid": process.pid,
        "parent": process.parent or None,
        "role": process.role or None,
        "user": process.user,
        "command": process.command,
        "directory": process.directory or None,
        "python": process.python or None,
        "agent": process.agent,
        "tasks": sample.tasks.live if sample else None,
        "threads": sample.threads if sample else process.threads,
        "findings": seen.levels if seen is not None else None,
        "rss": process.rss,
        "cpu": round(process.cpu, 4),
        "started": process.started,
        "asyncio": process.asyncio,
        "obstacle": process.obstacle or None,
        "monitor": process.monitor or None,
        "unseen": list(seen.unseen) if seen is not None else None,
    }


def _print(rows: list[dict[str, Any]], apart: Mapping[int, str]) -> None:
    from taskscope import text as fmt
    from taskscope.attach.family import tree

    heads = ("PID", "PYTHON", "AGENT", "TASKS", "THREADS", "RSS", "FINDINGS", "COMMAND")
    table = [
        (
            str(row["pid"]),
            row["python"] or fmt.UNKNOWN,
            row["agent"] or "no",
            fmt.count(row["tasks"]),
            str(row["threads"]),
            fmt.bytes(row["rss"]),
            fmt.levels(row["findings"]),
            branch + row["command"] + apart.get(row["pid"], "") + _notes(row),
        )
        for branch, row in tree(rows, lambda row: row["pid"], lambda row: row["parent"] or 0)
    ]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    widths = [max(map(len, column)) for column in zip(heads, *table, strict=True)]
    for line in (heads, *table):
        left = (0, 1, 2, 6, 7)
        cells = [
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip()[:room])


def _notes(row: dict[str, Any]) -> str:
    notes = [row[note] for note in ("role", "obstacle", "monitor") if row[note]]
    notes += [f"runs {each}, not shown" for each in row["unseen"] or ()]
    return "".join(f"  ({note})" for note in notes)
