"""Sums up who used the CPU: by site (or callback, or thread), by line, and as a tree of calls."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import field
from typing import TYPE_CHECKING

from taskscope.model import library_line, user_line
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.model import CpuSlice, CpuStack, Frame

KEPT = 30
"""Slices summed up: half a minute, so that what is over goes away."""

Key = tuple[int, str, int]
"""Of what runs: its site, its coroutine or callback, its thread (0 in a loop)."""


@dataclass(slots=True)
class Call:
    """A call in the tree: ``seconds`` with what it called, ``own`` without.  ``frame``: its hottest line."""

    name: str
    key: Key | None = None
    frame: Frame | None = None
    seconds: float = 0.0
    own: float = 0.0
    hottest: float = 0.0
    calls: dict[str, Call] = field(default_factory=dict)

    def within(self, name: str) -> Call:
        """The call of that name made by this one."""
        found = self.calls.get(name)
        if found is None:
            found = self.calls[name] = Call(name)
        return found


@dataclass(frozen=True, slots=True)
class Work:
    """A site, callback or thread that used ``seconds`` of CPU.  ``line``: its hottest line."""

    key: Key
    seconds: float
    line: Frame | None


class CpuProfile:
    """The last slices of one target, summed up."""

    def __init__(self) -> None:
        self._slices: deque[CpuSlice] = deque(maxlen=KEPT)

    def add(self, part: CpuSlice) -> None:
        self._slices.append(part)

    @property
    def seconds(self) -> float:
        """Seconds that it covers."""
        return sum(each.seconds for each in self._slices)

    @property
    def looks(self) -> int:
        return sum(each.looks for each in self._slices)

    @property
    def cost(self) -> float:
        """Share of a core that the agent used meanwhile."""
        return sum(each.cost for each in self._slices) / max(self.seconds, 1e-9)

    @property
    def used(self) -> float:
        """Share of a core that the whole process used."""
        return sum(each.cpu for each in self._slices) / max(self.seconds, 1e-9)

    @property
    def elsewhere(self) -> float:
        """Share of a core used outside what was seen: threads without Python, and what was left out."""
        seen = sum(each.seconds for part in self._slices for each in part.threads)
        left = sum(part.unlisted for part in self._slices)
        return max(0.0, self.used - (seen - left) / max(self.seconds, 1e-9))

    def names(self) -> dict[int, str]:
        """The names of threads."""
        return {each.ident: each.name for part in self._slices for each in part.threads}

    def work(self) -> list[Work]:
        """What runs, most CPU first."""
        totals: dict[Key, float] = defaultdict(float)
        lines: dict[Key, dict[Frame, float]] = defaultdict(lambda: defaultdict(float))
        for stack, frames in self._stacks():
            key = key_of(stack)
            totals[key] += stack.seconds
            inner = frames[::-1]
            line = user_line(inner) or library_line(inner)
            if line is not None:
                lines[key][line] += stack.seconds
        found = []
        for key, seconds in totals.items():
            found.append(Work(key, seconds, max(lines[key], key=lines[key].__getitem__, default=None)))
        return sorted(found, key=lambda each: -each.seconds)

    def tree(self, only: Key | None = None) -> Call:
        """All calls below one root: by what runs, then by function.  ``only``: of this work."""
        root = Call("all")
        for stack, frames in self._stacks():
            key = key_of(stack)
            if only is not None and key != only:
                continue
            root.seconds += stack.seconds
            at = root.within(repr(key))
            at.key = key
            at.seconds += stack.seconds
            for frame in frames:
                at = at.within(f"{frame.function} {frame.file}")
                at.seconds += stack.seconds
                if at.frame is None or stack.seconds > at.hottest:
                    at.frame, at.hottest = frame, stack.seconds
            at.own += stack.seconds
        return root

    def _stacks(self) -> Iterator[tuple[CpuStack, tuple[Frame, ...]]]:
        for part in self._slices:
            for stack in part.stacks:
                yield stack, tuple(part.frames[at] for at in stack.frames if at < len(part.frames))


def key_of(stack: CpuStack) -> Key:
    return stack.site, stack.work, 0 if stack.loop else stack.thread


def folded(root: Call, names: Iterable[str] = ()) -> Iterator[str]:
    """The tree as lines of ``outer;inner microseconds``, which flame graph tools read."""
    here = list(names)
    for call in root.calls.values():
        name = call.frame.function if call.frame is not None else call.name
        if call.own:
            yield f"{';'.join([*here, name])} {round(call.own * 1e6)}"
        yield from folded(call, [*here, name])
