"""``taskscope doctor``: checks whether and how a process can be attached to, without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Checks whether and how a process can be attached to.  Does not touch the process."
    parser.add_argument("pid", type=int, metavar="PID", help="process id")


def main(options: Namespace) -> int:
    """Prints what attaching would do.  Raises AttachError (status 3) if it cannot be done."""
    from taskscope.attach.diagnosis import diagnose
    from taskscope.wire import clean_text

    found = diagnose(options.pid)
    print(f"Process {options.pid} {'can' if found.obstacle is None else 'cannot'} be attached to.")
    for fact in found.facts:
        print(f"  {fact.topic:<11} {clean_text(fact.text)}")
    if found.obstacle is not None:
        raise found.obstacle
    return 0
