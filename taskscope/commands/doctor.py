"""``taskscope doctor``: checks whether and how a process can be attached to, without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.attach.diagnosis import Diagnosis


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Checks whether and how a process can be attached to.  Does not touch the process."
    parser.add_argument("pid", type=int, metavar="PID", help="process id")
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of text")


def main(options: Namespace) -> int:
    """Prints what attaching would do.  Raises AttachError (status 3) if it cannot be done."""
    from taskscope.attach.diagnosis import Diagnosis, diagnose
    from taskscope.attach.errors import AttachError

    try:
        found = diagnose(options.pid)
    except AttachError as obstacle:
        if not options.json:
            raise
        found = Diagnosis((), obstacle)
    if options.json:
        _print_json(options.pid, found)
    else:
        _print_text(options.pid, found)
    if found.obstacle is not None:
        raise found.obstacle
    return 0


def _print_text(pid: int, found: Diagnosis) -> None:
    from taskscope.wire import clean_text

    print(f"Process {pid} {'can' if found.obstacle is None else 'cannot'} be attached to.")
    for fact in found.facts:
        print(f"  {fact.topic:<11} {clean_text(fact.text)}")


def _print_json(pid: int, found: Diagnosis) -> None:
    import json

    said = {
        "pid": pid,
        "attachable": found.obstacle is None,
        "facts": {fact.topic: fact.text for fact in found.facts},
        "obstacle": None if found.obstacle is None else str(found.obstacle),
    }
    print(json.dumps(said))
