"""``taskscope detach``: removes the agent and everything it installed from a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.common import add_one_process, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Removes the agent from a process: its hooks, thread, socket and modules."
    add_one_process(parser)


def main(options: Namespace) -> int:
    """Removes the agent and waits until it is gone.  Raises SourceError if there is none or it stays."""
    remove(options.target, options.via)
    return 0


def remove(target: str, via: str, *, only_injected: bool = False) -> None:
    """Likewise; ``only_injected``: keeps an agent that the program started itself."""
    if via:
        from taskscope.sources.via import reached

        reached(via, say).detach(target, say, only_injected=only_injected)
        return
    from taskscope.sources.detaching import detach
    from taskscope.sources.resolve import pid_of

    detach(pid_of(target), say, only_injected=only_injected)
