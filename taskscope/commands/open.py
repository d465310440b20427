"""``taskscope open``: the app on a saved snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.common import add_theme, needs_terminal

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Sets the parser's description and adds the verb's arguments."""
    parser.description = "Opens the app on a snapshot saved by `taskscope snapshot` or the app's w key."
    parser.add_argument("file", metavar="FILE", help="a snapshot, .json or .json.gz")
    add_theme(parser)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    needs_terminal("open")
    from taskscope.export.snapshot import load

    load(options.file)  # what is wrong with the file is said before the screen is taken over
    from taskscope.tui.app import run

    return run(options.file, options.theme)
