"""Paths through a function's bytecode: is an ``await`` inside a loop, and can another precede it?"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect.caches import Cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dis import Instruction
    from types import CodeType

    Ways = dict[int, list[int]]
    """By instruction, those that may come next."""

MAX_PLACES = 2_000
"""Functions whose places are cached."""

HEAD = 12
"""Instructions from the name of a ``range`` to the loop over it."""

_ENDS = ("JUMP", "RETURN_VALUE", "RETURN_CONST", "RERAISE", "RAISE")
"""Name prefixes of instructions that do not fall through to the next."""


class Place(NamedTuple):
    """One ``await``.

    ``comes_back``: a path leads from it back to it.  ``first``: no other ``await`` can precede it.
    ``leaves``: it comes back, but it may also leave the loop next, without another ``await`` and without an
    exception: the loop has a condition.  ``counted``: a ``range`` limits the rounds.  ``retried``: nothing
    does, and another ``await`` of the loop is what may leave it next.
    """

    comes_back: bool
    first: bool
    leaves: bool = False
    counted: bool = False
    retried: bool = False


_places: Cache[dict[int, Place]] = Cache(MAX_PLACES)
_loops: Cache[dict[int, bool]] = Cache(MAX_PLACES)


def place_of(code: CodeType, offset: int) -> Place:
    """The ``await`` at ``offset``, cached."""
    places = _places.get(code)
    if places is None:
        places = _places.put(code, {})
    if offset not in places:
        places[offset] = _look(code, offset)
    return places[offset]


def is_in_loop(code: CodeType, offset: int) -> bool:
    """Whether a path leads from an instruction, such as a call, back to it; cached."""
    known = _loops.get(code)
    if known is None:
        known = _loops.put(code, {})
    if offset not in known:
        _, _, ways = _ways_through(code)
        at = max((each for each in ways if each <= offset), default=0)  # it may lie in its inline cache
        known[offset] = at in _reached(ways.get(at, []), ways)
    return known[offset]


def _look(code: CodeType, place: int) -> Place:
    """Searches forwards and backwards from the ``await`` at ``place``.

    An ``await`` is itself a loop (SEND, YIELD_VALUE, and a jump back to SEND): the forward search starts
    where SEND jumps when the awaited object is done, the backward search at SEND.
    """
    instructions, regular, ways = _ways_through(code)
    back = next(
        (each for each in instructions if each.offset >= place and "NO_INTERRUPT" in each.opname), None
    )
    if back is None:
        return Place(comes_back=False, first=False)
    done = regular.get(back.argval, [])[1:]
    comes_back = place in _reached(ways.get(back.argval, [])[1:], ways)
    sources = _turned(ways)
    if comes_back:
        ends = [each.offset for each in instructions if each.opname.startswith("RETURN_")]
        outside = _reached(ends, _turned(regular)) - _reached([place], sources)
        waits: Ways = {each.offset: [] for each in instructions if each.opname == "SEND"}
        onward = _reached(list(outside), _turned(regular | waits))  # what leads out without an ``await``
        leaves = not onward.isdisjoint(done)
        round_ = _reached([place], ways) & _reached([place], sources)
        counted = any(
            at in round_ and at not in _reached([over], regular) for at, over in _counts(instructions)
        )
        others = (regular.get(each.argval, [])[1:] for each in _awaits(instructions) if each.offset in round_)
        retried = not (leaves or counted) and any(not onward.isdisjoint(each) for each in others)
        return Place(comes_back, first=False, leaves=leaves, counted=counted, retried=retried)
    before = _reached([each for each in sources.get(back.argval, []) if each != back.offset], sources)
    return Place(
        comes_back,
        first=before.isdisjoint({each.offset for each in instructions if each.opname == "YIELD_VALUE"}),
    )


def _counts(instructions: list[Instruction]) -> Iterator[tuple[int, int]]:
    """Where a ``for`` over a ``range`` takes the next item, and where it goes once there is none."""
    named = -HEAD
    for at, each in enumerate(instructions):
        if each.argval == "range":
            named = at
        elif each.opname == "FOR_ITER" and at - named < HEAD:
            yield each.offset, each.argval


def _awaits(instructions: list[Instruction]) -> Iterator[Instruction]:
    """The jump back of each ``await`` to its SEND."""
    return (each for each in instructions if "NO_INTERRUPT" in each.opname)


def _ways_through(code: CodeType) -> tuple[list[Instruction], Ways, Ways]:
    """The instructions of a function, and where each leads to: without exceptions, and with them."""
    import dis

    jumps = {*dis.hasjrel, *dis.hasjabs}
    bytecode = dis.Bytecode(code)
    instructions = list(bytecode)
    regular: Ways = {}
    for instruction, following in zip_longest(instructions, instructions[1:]):
        onward = regular[instruction.offset] = []
        if following is not None and not instruction.opname.startswith(_ENDS):
            onward.append(following.offset)
        if instruction.opcode in jumps and isinstance(instruction.argval, int):
            onward.append(instruction.argval)
    ways = {offset: list(onward) for offset, onward in regular.items()}
    for entry in vars(bytecode).get("exception_entries", ()):
        for offset, onward in ways.items():
            if entry.start <= offset < entry.end:
                onward.append(entry.target)
    return instructions, regular, ways


def _turned(ways: Ways) -> Ways:
    """Where each instruction is reached from."""
    sources: Ways = {}
    for offset, onward in ways.items():
        for target in onward:
            sources.setdefault(target, []).append(offset)
    return sources


def _reached(begin: list[int], ways: Ways) -> set[int]:
    reached: set[int] = set()
    pending = list(begin)
    while pending:
        offset = pending.pop()
        if offset not in reached:
            reached.add(offset)
            pending.extend(ways.get(offset, ()))
    return reached
