"""Descriptors that are ready whenever a loop polls, and that its callback takes nothing from.

They keep the loop awake: it calls the callback in every iteration.  That nothing is taken shows in the bytes
unread, which stay the same over many iterations, at a closed end as well.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from taskscope import model
from taskscope.agent.inspect import arming, open_files, other_ends, processes, rearming, turns
from taskscope.agent.inspect.looking import attribute, class_name, items, number, size
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.inspect.rearming import State
    from taskscope.agent.inspect.walk import Job

MOST = 500
"""Descriptors of a loop that are looked at; those of a busier loop are not."""

ENOUGH = 10
"""Looks from which it means something that one was always ready."""

STATES = 5
"""What a callback works on is read on every fifth look."""

MOST_TOLD = 4

_IN = select.POLLIN | select.POLLHUP | select.POLLERR
_OUT = select.POLLOUT | select.POLLHUP | select.POLLERR
_PIPE_SIZE = 1032  # F_GETPIPE_SZ


class _Watched(NamedTuple):
    """One direction of a registered descriptor."""

    number: int
    writes: bool


class _Seen:
    """Weak references only."""

    def __init__(self, handle: object, unread: int | None) -> None:
        self.handle: ref[Any] = ref(handle)
        self.unread = unread
        self._state: State | None = None
        self.changes = self.counts = False

    def compare(self, handle: object) -> None:
        state, before = rearming.state_of(rearming.read(handle)), self._state
        if before is not None:
            self.counts = self.counts or state.numbers != before.numbers
            self.changes = self.changes or state.others != before.others
        self._state = state


class Undrained:
    """What was seen of one loop.  ``native``: the kernel's id of its thread."""

    def __init__(self, native: int) -> None:
        self._native = native
        self._read = _read_by(native)
        self._known: dict[_Watched, _Seen] | None = None
        self._looks = 0

    def see(self, loop: object) -> None:
        """One look: 20 µs, as long as any was always ready."""
        if self._known is not None and not self._known:
            return
        here = dict(_ready(loop))
        if self._known is None:
            self._known = {each: _Seen(handle, _unread(each)) for each, handle in here.items()}
        self._known = {each: seen for each, seen in self._known.items() if _is_same(each, seen, here)}
        self._looks += 1
        if self._looks % STATES == 0:
            for each, seen in self._known.items():
                seen.compare(here[each])

    def found(self) -> bool:
        return self._looks >= ENOUGH and bool(self._known)

    def described(self) -> Job[list[model.Rearmed]]:
        told = []
        for each, seen in list((self._known or {}).items())[:MOST_TOLD] if self.found() else ():
            handle = seen.handle()
            on = open_files.describe(each.number)
            if handle is None or on is None or self._may_be_read(each, on):
                continue
            queued = rearming.read(handle)
            del handle
            function, defined = rearming.what(queued)
            lines = yield from arming.lines_of(queued.callback, rearming.owner(queued), arming.WATCHES)
            frame = arming.traced(queued.handle) or next(iter(lines), defined)
            owner = class_name(thing) if (thing := rearming.owner(queued)) is not None else ""
            del queued, thing
            (on,) = yield from other_ends.of_all([on])
            told.append(
                model.Rearmed(
                    function,
                    frame,
                    frame if frame.origin == "user" else None,
                    of_task=False,
                    changes=seen.changes,
                    counts=seen.counts,
                    owner=owner,
                    on=on,
                    writes=each.writes,
                )
            )
        return told

    def _may_be_read(self, each: _Watched, on: model.Descriptor) -> bool:
        """Whether a pipe may only seem untouched, since a fast writer fills it as soon as it is emptied."""
        if each.writes or on.kind != "pipe" or not on.unread:
            return False
        try:
            capacity = system.fcntl(each.number, _PIPE_SIZE)
        except OSError:
            return True
        return on.unread >= capacity and _read_by(self._native) != self._read


def _is_same(each: _Watched, seen: _Seen, here: dict[_Watched, object]) -> bool:
    return each in here and here[each] is seen.handle() and _unread(each) == seen.unread


def _ready(loop: object) -> Iterator[tuple[_Watched, object]]:
    """The registered descriptors that are ready now, with their handles."""
    keys = attribute(turns.variable(loop, "_selector"), "_fd_to_key")
    if not 0 < (size(keys) or 0) <= MOST:
        return
    handles: dict[_Watched, object] = {}
    poll = system.poll()
    for key in items(keys, MOST):
        _, fd, _, data, *_ = (*items(key, 4), None, None, None, None)
        here, both = number(fd), items(data, 2)
        if here is None or len(both) < 2:
            continue
        for writes, handle in enumerate(both):
            if handle is not None and attribute(handle, "_cancelled") is False:
                handles[_Watched(here, bool(writes))] = handle
        poll.register(here, select.POLLIN | select.POLLOUT)
    events = dict(poll.poll(0))
    for each, handle in handles.items():
        happened = events.get(each.number, 0)
        if happened & (_OUT if each.writes else _IN) and (each.writes or _is_legible(each.number)):
            yield each, handle


def _unread(each: _Watched) -> int | None:
    return None if each.writes else open_files.unread(each.number)


def _is_legible(here: int) -> bool:
    """Whether it shows that nothing is taken: not who listens, whose queue has no length."""
    return open_files.unread(here) is not None or processes.behind(here) != 0


def _read_by(native: int) -> int | None:
    """Bytes that a thread has read; None: unknown."""
    try:
        lines = system.contents(f"/proc/self/task/{native}/io").split(b"\n")
        return int(lines[0].split()[1])
    except (OSError, ValueError, IndexError):
        return None
