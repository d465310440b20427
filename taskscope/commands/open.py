"""``taskscope open``: opens the app on a snapshot or a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.app import add_baseline, add_theme, baseline_of, needs_terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Opens the app on a snapshot that `taskscope snapshot` or the app's w key saved, or on a recording "
        "of `taskscope record`, which it plays."
    )
    parser.add_argument("file", metavar="FILE", help="snapshot or recording")
    add_theme(parser)
    add_baseline(parser)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    needs_terminal("open")
    import asyncio

    asyncio.run(_try(options.file))  # fail before the app takes over the screen
    baseline = baseline_of(options)
    from taskscope.tui.opening import run

    return run([options.file], options.theme, baseline)


async def _try(path: str) -> None:
    from taskscope.sources.resolve import saved

    source = saved(path)
    try:
        await source.open()
    finally:
        await source.close()
