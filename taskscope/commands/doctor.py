"""``taskscope doctor``: whether and how a process can be attached to, without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Sets the parser's description and adds the verb's arguments."""
    parser.description = "Says whether and how a process could be attached to.  Touches nothing."
    parser.add_argument("pid", type=int, metavar="PID", help="the process")


def main(options: Namespace) -> int:
    """Prints what would happen; raises AttachError (status 3) if it cannot be attached to."""
    from taskscope.attach.diagnosis import diagnose
    from taskscope.wire import clean_text

    found = diagnose(options.pid)
    print(f"process {options.pid} {'can' if found.obstacle is None else 'cannot'} be attached to")
    for fact in found.facts:
        print(f"  {fact.topic:<11} {clean_text(fact.text)}")
    if found.obstacle is not None:
        raise found.obstacle
    return 0
