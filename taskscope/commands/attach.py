"""``taskscope attach``: opens the app on a running process; without a target, opens the picker."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from taskscope.commands.app import add_baseline, add_theme, baseline_of, has_terminal, needs_terminal
from taskscope.commands.common import (
    CHILDREN_HELP,
    GROUP_HELP,
    TARGET_HELP,
    UsageError,
    add_read_only,
    add_via,
    say,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.sources.base import Source


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = (
        "Opens the app on a running process, or on several as one group.  Without TARGET, lists the Python "
        "processes on this machine to pick from."
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{TARGET_HELP}; {GROUP_HELP}")
    parser.add_argument("--children", action="store_true", help=CHILDREN_HELP)
    parser.add_argument(
        "--detach-on-exit",
        action="store_true",
        help="remove the agent on exit, unless the program started it itself; a single TARGET must be a pid",
    )
    add_read_only(parser)
    add_via(parser)
    add_theme(parser)
    add_baseline(parser)


def main(options: Namespace) -> int:
    """Runs the app until the user quits."""
    targets = options.targets
    if options.detach_on_exit and not _detachable(options):
        raise UsageError("--detach-on-exit requires the pid of a process, or a group")
    if (options.children or options.read_only) and not targets:
        raise UsageError(f"--{'children' if options.children else 'read-only'} requires a TARGET")
    if options.detach_on_exit and options.read_only:
        raise UsageError("--read-only brings in no agent that --detach-on-exit could remove")
    source = None
    if targets:
        source = _source(options)  # fails before the app takes over the screen
    elif not options.via:
        from taskscope.attach.discover import demand_list

        demand_list()
    baseline = baseline_of(options)
    needs_terminal("attach")
    from taskscope.tui.opening import run

    status = run(
        targets,
        options.theme,
        baseline,
        children=options.children,
        via=options.via,
        source=source,
        parting=(lambda text: None) if options.detach_on_exit else say,
    )
    if options.detach_on_exit:
        from taskscope.commands.detach import remove
        from taskscope.sources.base import TargetGone

        with contextlib.suppress(TargetGone):  # it has left already
            remove(targets, options.via, children=options.children, only_injected=True)
    return status


def _detachable(options: Namespace) -> bool:
    """Whether TARGET remains the same process until the exit, or is a group."""
    from taskscope.sources.group import group_of

    targets = options.targets
    return bool(targets) and (
        targets[0].isdecimal() or group_of(targets, children=options.children) is not None
    )


def _source(options: Namespace) -> Source:
    """What the command line names; one process of this machine may be one that no agent can enter."""
    from taskscope.sources.group import PICTURE, observed
    from taskscope.sources.resolve import process_of

    targets, plain = options.targets, not (options.via or options.children or options.read_only)
    pid = process_of(targets[0]) if plain and len(targets) == 1 and has_terminal() else 0
    if pid:
        from taskscope.sources.outside.meanwhile import entered

        return entered(pid, say)
    return observed(
        targets,
        children=options.children,
        via=options.via,
        inject=has_terminal(),
        read_only=options.read_only,
        progress=say,
        patience=PICTURE,
    )
