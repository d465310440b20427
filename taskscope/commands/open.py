"""``taskscope open``: opens the app on a saved snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.app import add_theme, needs_terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Opens the app on a snapshot that `taskscope snapshot` or the app's w key saved."
    parser.add_argument("file", metavar="FILE", help="snapshot file, .json or .json.gz")
    add_theme(parser)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    needs_terminal("open")
    from taskscope.export.snapshot import load

    load(options.file)  # fail before the app takes over the screen
    from taskscope.tui.app import run

    return run(options.file, options.theme)
