"""``taskscope attach``: the app on a running process; without a target, the picker first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.common import has_terminal, needs_terminal, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TARGET_HELP = "a pid, a name given at start(name=...) or run --name, a socket path, or a snapshot file"


def register(parser: ArgumentParser) -> None:
    """Sets the parser's description and adds the verb's arguments."""
    parser.description = (
        "Opens the app on a running process.  Without TARGET: lists the Python processes of this machine "
        "to choose from."
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help=TARGET_HELP)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    if options.target is not None:
        from taskscope.sources.resolve import resolve

        # What is wrong with the target is said before the screen is taken over.
        resolve(options.target, bring=has_terminal(), progress=say)
    needs_terminal("attach")
    from taskscope.tui.app import run

    return run(options.target)
