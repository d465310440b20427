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
    """Prints what would happen; AttachError (status 3) if it cannot be attached to."""
    from taskscope.attach.diagnosis import diagnose
    from taskscope.wire import clean_text

    facts = diagnose(options.pid)
    print(f"process {options.pid} can be attached to")
    for fact in facts:
        print(f"  {fact.topic:<11} {clean_text(fact.text)}")
    return 0
