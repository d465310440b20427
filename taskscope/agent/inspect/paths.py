"""Ways through a function's bytecode: can an ``await`` be come back to, and has there been one before it?"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect.caches import Cache

if TYPE_CHECKING:
    from types import CodeType

MAX_PLACES = 2_000
"""Functions of which is remembered which places are in a loop, or the first to wait."""

_ENDS = ("JUMP", "RETURN_VALUE", "RETURN_CONST", "RERAISE", "RAISE")
"""How the names of instructions begin after which the next one does not follow."""


class Place(NamedTuple):
    """What can be said of one ``await``.

    ``comes_back``: a way leads from it back to it.  ``first``: no other ``await`` can have come before.
    """

    comes_back: bool
    first: bool


_places: Cache[dict[int, Place]] = Cache(MAX_PLACES)


def place_of(code: CodeType, offset: int) -> Place:
    """What is known of the ``await`` at ``offset``, remembered."""
    places = _places.get(code)
    if places is None:
        places = _places.put(code, {})
    if offset not in places:
        places[offset] = _look(code, offset)
    return places[offset]


def _look(code: CodeType, place: int) -> Place:
    """Searches onwards from the ``await`` at ``place``, and back from it.

    It is a loop of its own (SEND, YIELD_VALUE, and a jump back to SEND that cannot be interrupted): the
    search onwards begins where SEND goes when what it awaits is done, the one back begins at SEND.
    """
    import dis

    jumps = {*dis.hasjrel, *dis.hasjabs}
    bytecode = dis.Bytecode(code)
    instructions = list(bytecode)
    ways: dict[int, list[int]] = {}
    for instruction, following in zip_longest(instructions, instructions[1:]):
        onward = ways[instruction.offset] = []
        if following is not None and not instruction.opname.startswith(_ENDS):
            onward.append(following.offset)
        if instruction.opcode in jumps and isinstance(instruction.argval, int):
            onward.append(instruction.argval)
    for entry in vars(bytecode).get("exception_entries", ()):
        for offset, onward in ways.items():
            if entry.start <= offset < entry.end:
                onward.append(entry.target)
    back = next(
        (each for each in instructions if each.offset >= place and "NO_INTERRUPT" in each.opname), None
    )
    if back is None:
        return Place(comes_back=False, first=False)
    comes_back = place in _reached(ways.get(back.argval, [])[1:], ways)
    sources: dict[int, list[int]] = {}
    for offset, onward in ways.items():
        for target in onward if offset != back.offset else ():
            sources.setdefault(target, []).append(offset)
    before = _reached(sources.get(back.argval, []), sources)
    waits = {each.offset for each in instructions if each.opname == "YIELD_VALUE"}
    return Place(comes_back, first=not comes_back and before.isdisjoint(waits))


def _reached(begin: list[int], ways: dict[int, list[int]]) -> set[int]:
    reached: set[int] = set()
    pending = list(begin)
    while pending:
        offset = pending.pop()
        if offset not in reached:
            reached.add(offset)
            pending.extend(ways.get(offset, ()))
    return reached
