"""The stacks and source lines of a report."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from taskscope.export.page import Code, Items, Paragraph
from taskscope.model import requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from taskscope.export.page import Block
    from taskscope.model import CreationStack, Frame
    from taskscope.model.requests import Request

CONTEXT = 5
"""Lines shown before and after one."""

MOST_STEPS = 20

FOLDED = 4
"""So many steps of the standard library in a row, below the innermost ones, say only who runs the program."""


class Lines:
    """The source lines that were read, and what is written with them."""

    def __init__(self, told: Mapping[Request[Any], Any]) -> None:
        self._files: dict[str, dict[int, str]] = {}
        for question, answer in told.items():
            if isinstance(question, requests.Source):
                numbered = dict(enumerate(answer.lines, answer.first))
                self._files.setdefault(answer.file, {}).update(numbered)

    def at(self, frame: Frame) -> str:
        """The text of a line; "" if it was not read."""
        return self._files.get(frame.file, {}).get(frame.line, "").strip()

    def around(self, frame: Frame, lead: str) -> Iterator[Block]:
        """The lines around one, or where it is; ``lead``: what happens there."""
        known = self._files.get(frame.file, {})
        first = last = frame.line
        at = f"{frame.file}:{frame.line} in {frame.function}"
        if frame.line not in known:
            yield Paragraph(at, lead)
            return
        while first - 1 in known and first > frame.line - CONTEXT:
            first -= 1
        while last + 1 in known and last < frame.line + CONTEXT:
            last += 1
        lines = tuple(known[number] for number in range(first, last + 1))
        yield Code(f"{lead}: {at}", first, lines, frame.line)

    def steps(self, stack: Sequence[Frame]) -> Items:
        """A stack, one step a line, innermost first."""
        said = list(self._steps(stack))
        more = (f"({MOST_STEPS} of {len(said)} steps)",) if len(said) > MOST_STEPS else ()
        return Items((*said[:MOST_STEPS], *more))

    def _steps(self, stack: Sequence[Frame]) -> Iterator[str]:
        begun = False
        for plain, run in groupby(stack, lambda frame: frame.origin == "stdlib"):
            frames = list(run)
            if plain and begun and len(frames) >= FOLDED:
                yield f"({len(frames)} steps in the standard library)"
            else:
                yield from map(self._step, frames)
            begun = True

    def _step(self, frame: Frame) -> str:
        text = self.at(frame)
        return f"{frame.file}:{frame.line} in {frame.function}{f':  {text}' if text else ''}"


def newest_and_first(stacks: Iterable[CreationStack]) -> list[CreationStack]:
    """Of the stacks that created tasks of a site, the newest, and the first if it differs."""
    known = sorted((each for each in stacks if each.frames), key=lambda each: -each.serial)
    return known[:1] if not known or known[0].frames == known[-1].frames else [known[0], known[-1]]
