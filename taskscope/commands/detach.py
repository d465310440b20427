"""``taskscope detach``: removes the agent and all it installed from a process, or from each of a group."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskscope.commands.common import CHILDREN_HELP, GROUP_HELP, add_via, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from taskscope.sources.choice import Choice

LOOKS = 2
"""The second one finds what forked during the first."""


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Removes the agent from a process: its hooks, thread, socket and modules."
    parser.add_argument(
        "targets", nargs="+", metavar="PID", help=f"a pid, or the name of an agent; {GROUP_HELP}"
    )
    parser.add_argument("--children", action="store_true", help=CHILDREN_HELP)
    add_via(parser)


def main(options: Namespace) -> int:
    """Removes the agent and waits until it is gone.  Raises SourceError if there is none or it stays."""
    remove(options.targets, options.via, children=options.children)
    return 0


def remove(targets: Sequence[str], via: str, *, children: bool = False, only_injected: bool = False) -> None:
    """Likewise, of a group from each; ``only_injected``: keeps an agent that the program started itself."""
    from taskscope.sources.group import group_of

    group = group_of(targets, children=children, via=via)
    if group is None:
        _remove(targets[0], via, only_injected=only_injected)
    else:
        _remove_all(group.choice, only_injected=only_injected)


def _remove(target: str, via: str, *, only_injected: bool) -> None:
    if via:
        from taskscope.sources.via import reached

        reached(via, say).detach(target, say, only_injected=only_injected)
        return
    from taskscope.sources.detaching import detach
    from taskscope.sources.resolve import pid_of

    detach(pid_of(target), say, only_injected=only_injected)


def _remove_all(choice: Choice, *, only_injected: bool) -> None:
    """One line for each process.  Raises SourceError if none is rid of its agent."""
    from taskscope.attach.errors import AttachError
    from taskscope.sources.base import SourceError, TargetGone

    seen: set[object] = set()
    done = 0
    for _ in range(LOOKS):
        for each in sorted(choice.find(), key=lambda found: found.young):
            if each.key in seen or each.helper:
                continue
            seen.add(each.key)
            time.sleep(each.young)  # its agent may only be starting
            try:
                _remove(each.target, choice.via, only_injected=only_injected)
                done += 1
            except (SourceError, AttachError) as problem:
                say(str(problem))
    if not done:
        raise TargetGone("no agent was removed" if seen else choice.nobody)
