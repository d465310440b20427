"""``taskscope diff``: compares two states by creation site: what grew, came and went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.commands.common import CommandError, add_via, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.model.changes import Side

FORMATS = ("text", "json", "md")


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Compares two snapshots, the ends of recordings, or running processes, by creation site: what grew, "
        "came and went.  A site is found again after a restart, in another process of the service, and "
        "where its line has moved or its file lies in another folder; the output says so.  With --via, "
        "processes are those of its far end.  Exits with status 1 if a site has more live tasks or threads "
        "in B than in A."
    )
    parser.add_argument("a", metavar="A", help="the earlier state: a snapshot, a recording or a process")
    parser.add_argument("b", metavar="B", help="the later one")
    add_via(parser)
    parser.add_argument(
        "--format", choices=FORMATS, default="text", metavar="FORMAT", help=", ".join(FORMATS)
    )
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="--format json")


def main(options: Namespace) -> int:
    """Compares the two and prints the changes."""
    import asyncio
    import json

    from taskscope.analysis.diff import compare
    from taskscope.export import changes

    before, after = asyncio.run(_read(options.a, options.b, via=options.via))
    found = compare(before, after)
    if options.format == "json":
        print(json.dumps(changes.packed(found, before, after), indent=2))
    else:
        written = changes.text if options.format == "text" else changes.markdown
        print("\n".join(written(found, before, after)))
    return 1 if found.grew else 0


async def _read(*targets: str, via: str) -> list[Side]:
    return [await read_side(target, via) for target in targets]


def read_baseline(path: str) -> Side:
    """The side that a file holds.  Raises CommandError if it is not there, SourceError."""
    import asyncio

    if not Path(path).exists():
        raise CommandError(f"no such file: {path}")
    return asyncio.run(read_side(path))


async def read_side(target: str, via: str = "") -> Side:
    """What ``target`` is as a side of a diff; a file is always one of ours.  Raises SourceError."""
    from taskscope.sources.resolve import is_file, resolve
    from taskscope.sources.sides import side_of

    source = resolve(target, via="" if is_file(target) else via, progress=say)
    try:
        return await side_of(source)
    finally:
        await source.close()
