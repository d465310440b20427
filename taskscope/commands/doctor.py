"""``taskscope doctor``: checks whether and how a process can be attached to, without touching it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.commands.common import CommandError, add_one_process, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from taskscope.attach.diagnosis import Diagnosis


def register(parser: ArgumentParser) -> None:
    """Describes the verb and adds its arguments."""
    parser.description = "Checks whether and how a process can be attached to.  Does not touch the process."
    add_one_process(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of text")


def main(options: Namespace) -> int:
    """Prints what attaching would do; why it cannot be done comes first, on stderr, with status 3."""
    from taskscope.attach.diagnosis import diagnose
    from taskscope.sources.resolve import pid_of

    if options.via:
        from taskscope.sources.via import reached

        found = reached(options.via, say).diagnosis(options.target)
    else:
        found = diagnose(pid_of(options.target))
    if found.obstacle is not None:
        say(f"taskscope doctor: {found.obstacle}")
    if options.json:
        _print_json(options.target, found)
    elif found.facts or found.ways:
        _print_text(options.target, found)
    return CommandError.status if found.obstacle is not None else 0


def _print_text(target: str, found: Diagnosis) -> None:
    from taskscope.wire import clean_text

    print(f"Process {target} {'can' if found.obstacle is None else 'cannot'} be attached to.")
    for fact in found.facts:
        print(f"  {fact.topic:<11} {clean_text(fact.text)}")
    if found.ways:
        print("From a container that runs with:")
    for way in found.ways:
        print(f"  {way.topic:<11} {clean_text(way.text)}")


def _print_json(target: str, found: Diagnosis) -> None:
    import json

    said = {
        "pid": int(target) if target.isdigit() else None,
        "attachable": found.obstacle is None,
        "facts": {fact.topic: fact.text for fact in found.facts},
        "ways": {way.topic: way.text for way in found.ways},
        "obstacle": None if found.obstacle is None else str(found.obstacle),
    }
    print(json.dumps(said))
