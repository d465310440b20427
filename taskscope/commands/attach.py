"""``taskscope attach``: opens the app on a running process; without a target, opens the picker."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from taskscope.commands.app import add_baseline, add_theme, baseline_of, has_terminal, needs_terminal
from taskscope.commands.common import TARGET_HELP, UsageError, add_via, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Opens the app on a running process.  Without TARGET, lists the Python processes on this machine "
        "to pick from."
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help=TARGET_HELP)
    parser.add_argument(
        "--detach-on-exit",
        action="store_true",
        help="remove the agent on exit, unless the program started it itself; TARGET must be a pid",
    )
    add_via(parser)
    add_theme(parser)
    add_baseline(parser)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    if options.detach_on_exit and (options.target is None or not options.target.isdecimal()):
        raise UsageError("--detach-on-exit requires a pid as TARGET")
    if options.target is not None:
        from taskscope.sources.resolve import resolve

        # Fail before the app takes over the screen.
        resolve(options.target, via=options.via, inject=has_terminal(), progress=say)
    baseline = baseline_of(options)
    needs_terminal("attach")
    from taskscope.tui.app import run

    status = run(options.target, options.theme, baseline, options.via)
    if options.detach_on_exit:
        from taskscope.commands.detach import remove
        from taskscope.sources.base import TargetGone

        with contextlib.suppress(TargetGone):  # it has left already
            remove(options.target, options.via, only_injected=True)
    return status
