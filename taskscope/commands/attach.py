"""``taskscope attach``: opens the app on a running process; without a target, opens the picker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.app import add_baseline, add_theme, baseline_of, has_terminal, needs_terminal
from taskscope.commands.common import TARGET_HELP, UsageError, say

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
    add_theme(parser)
    add_baseline(parser)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    pid = int(options.target) if options.target is not None and options.target.isdecimal() else None
    if options.detach_on_exit and pid is None:
        raise UsageError("--detach-on-exit requires a pid as TARGET")
    if options.target is not None:
        from taskscope.sources.resolve import resolve

        # Fail before the app takes over the screen.
        resolve(options.target, inject=has_terminal(), progress=say)
    baseline = baseline_of(options)
    needs_terminal("attach")
    from taskscope.tui.app import run

    status = run(options.target, options.theme, baseline)
    if options.detach_on_exit and pid is not None:
        _detach(pid)
    return status


def _detach(pid: int) -> None:
    from taskscope.attach.presence import agent_in
    from taskscope.commands.detach import remove

    point = agent_in(pid)
    if point is not None:
        remove(point.path, pid, only_injected=True)
