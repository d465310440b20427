"""One creation site: its counters, and weak references to its live tasks, in chunks.

How they may be written while threads switch is said in ``registry``.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent.inspect import futures, origins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType
    from typing import Self

CHUNK = 1024
"""Births per chunk.  Copying one holds the GIL for about 20 µs."""

MAX_STACK = 48
"""Frames kept per creation stack."""

FIRST_STACKS, LAST_STACKS = 3, 3
"""Creation stacks kept per site: of its first births, and of its latest chunks."""

ENDED_A_SITE = 20
"""Ended tasks kept per site and second, so that a busy site does not evict the others."""

MAX_LINEAGE = 32
"""Ancestors kept.  A chain of tasks that each start the next is otherwise unbounded."""


class Chunk(dict[int, "ref[Any]"]):
    """Weak references to the live tasks among ``CHUNK`` births of a site, by serial.

    ``site``: where they are counted; ``origin``: where they were noted.
    """

    __slots__ = ("origin", "site")
    site: SiteRecord
    origin: SiteRecord

    def references(self) -> dict[int, ref[Any]]:
        """A copy, made without an allocation that can trigger garbage collection.

        A list of the items would allocate a tuple each and might trigger it: then tasks it destroys would
        leave the chunk, or other threads run, while the chunk is listed.
        """
        return self.copy()

    def reference(self, index: int) -> ref[Any] | None:
        """The reference at ``index``.  Copies only if the chunk changes meanwhile."""
        try:
            return next(itertools.islice(self.values(), index, None), None)
        except RuntimeError:
            return next(itertools.islice(self.copy().values(), index, None), None)


class ForeignRef(ref[Any]):
    """A weak reference that detects the end of a task that is not of our class."""

    __slots__ = ("chunk", "serial")
    chunk: Chunk
    serial: int

    def __new__(cls, task: Any, chunk: Chunk, serial: int) -> Self:
        self = super().__new__(cls, task, _gone)
        self.chunk, self.serial = chunk, serial
        return self

    def __init__(self, task: Any, chunk: Chunk, serial: int) -> None:
        pass  # ``ref.__init__`` would take a callback


def _gone(reference: ForeignRef) -> None:
    """The task was freed between sweeps: its outcome was not observed."""
    try:
        record = reference.chunk.site
        if reference.chunk.pop(reference.serial, None) is None:
            record.retained -= 1
            record.kept.pop(reference.serial, None)
        else:
            record.unseen += 1
    except Exception:  # noqa: BLE001  (an outer edge: the interpreter would print it)
        pass


class Lineage:
    """A parent as its children refer to it: outlives the parent, and never keeps it alive."""

    __slots__ = ("chunk", "depth", "name", "parent", "serial")

    def __init__(self, serial: int, parent: Lineage | None, chunk: Chunk | None, name: str) -> None:
        self.serial = serial
        self.chunk = chunk
        self.name = name
        depth = 0 if parent is None else parent.depth + 1
        self.depth: int = depth % MAX_LINEAGE
        self.parent = parent if self.depth else None

    @property
    def live(self) -> bool:
        return self.chunk is not None and self.serial in self.chunk


class SiteRecord:
    """The counters of one creation site, and its live tasks.

    ``room``: births that fit in the current chunk; the first few chunks hold one, so that each new chunk is
    also the occasion to take a creation stack.  ``keep``: ends that may still be kept this second.  ``kept``:
    tasks not of our class that are done and still referenced.
    """

    __slots__ = (
        "adopted",
        "born",
        "cancelled",
        "chunk",
        "chunks",
        "codes",
        "coroutine",
        "failed",
        "finished",
        "first_stacks",
        "id",
        "keep",
        "kept",
        "last_stacks",
        "lost",
        "published",
        "retained",
        "room",
        "site",
        "unseen",
    )

    def __init__(self, site: model.Site) -> None:
        self.id = site.id
        self.site = site
        self.codes: list[tuple[object, ...]] = []  # keeps alive the code objects whose id() is in a key
        self.born = self.finished = self.failed = self.cancelled = self.lost = self.unseen = 0
        self.adopted = self.retained = 0
        self.keep = ENDED_A_SITE
        self.kept: dict[int, ForeignRef] = {}
        self.room = 0
        self.chunks: list[Chunk] = []
        self.chunk: Chunk | None = None
        self.first_stacks: list[tuple[int, tuple[tuple[CodeType, int], ...]]] = []
        self.last_stacks: deque[tuple[int, tuple[tuple[CodeType, int], ...]]] = deque(maxlen=LAST_STACKS)
        self.published: tuple[Any, ...] | None = None

    def new_chunk(self, serial: int, frame: FrameType | None) -> Chunk:
        """A chunk for the births from ``serial`` on.  Takes the creation stack of the first."""
        chunk = Chunk()
        chunk.site = chunk.origin = self
        self.chunks.append(chunk)
        self.chunk = chunk
        early = len(self.first_stacks) < FIRST_STACKS
        self.room = 0 if early else CHUNK - 1
        if frame is not None:
            (self.first_stacks if early else self.last_stacks).append((serial, raw_stack(frame)))
        elif early:
            self.room = CHUNK - 1
        return chunk

    def drop_empty_chunks(self) -> None:
        """Called only by the agent's thread.  Others append, so deleting from the end shifts no index."""
        chunks = self.chunks
        for index in range(len(chunks) - 1, -1, -1):
            if not chunks[index] and chunks[index] is not self.chunk:
                del chunks[index]

    @property
    def ended(self) -> int:
        return self.finished + self.failed + self.cancelled + self.lost + self.unseen

    @property
    def live(self) -> int:
        return max(0, self.born - self.ended)

    def counts(self) -> model.Counts:
        finished, failed, cancelled = self.finished, self.failed, self.cancelled
        lost, unseen, born = self.lost, self.unseen, self.born
        live = max(0, born - finished - failed - cancelled - lost - unseen)
        return model.Counts(live, born, finished, failed, cancelled, lost, unseen)

    def take_counts(self, other: SiteRecord) -> None:
        """Moves the counts of ``other`` here.  One statement each: others may count meanwhile.

        Births come last: the live count may be briefly too low, never too high.
        """
        self.finished, other.finished = self.finished + other.finished, 0
        self.failed, other.failed = self.failed + other.failed, 0
        self.cancelled, other.cancelled = self.cancelled + other.cancelled, 0
        self.lost, other.lost = self.lost + other.lost, 0
        self.unseen, other.unseen = self.unseen + other.unseen, 0
        self.retained, other.retained = self.retained + other.retained, 0
        self.born, other.born = self.born + other.born, 0
        self.adopted, other.adopted = self.adopted + other.adopted, 0

    def references(self) -> Iterator[ref[Any]]:
        """Weak references to live tasks, oldest birth first; one chunk is copied at a time."""
        for chunk in list(self.chunks):
            yield from list(chunk.values())

    def first_and_middle(self) -> tuple[ref[Any] | None, ref[Any] | None]:
        """The oldest and the median by birth: walks the lengths of chunks, not the tasks."""
        sizes = [(chunk, size) for chunk in list(self.chunks) if (size := len(chunk))]
        first = next((found for chunk, _ in sizes if (found := chunk.reference(0)) is not None), None)
        rest = sum([size for _, size in sizes]) // 2
        if not rest:
            return first, first
        for chunk, size in sizes:
            if rest < size:
                return first, chunk.reference(rest)
            rest -= size
        return first, None


def raw_stack(frame: FrameType | None) -> tuple[tuple[CodeType, int], ...]:
    """Code objects and instruction offsets, innermost first: no line look-up, no source."""
    frames: list[tuple[CodeType, int]] = []
    while frame is not None and len(frames) < MAX_STACK:
        code = frame.f_code
        if not origins.is_own(code.co_filename):
            frames.append((code, frame.f_lasti))
        frame = frame.f_back
    return tuple(frames)


def site_counts(record: SiteRecord) -> model.SiteCounts:
    """Counters and the births of the oldest and the median task; reads only two tasks."""
    first, middle = record.first_and_middle()
    oldest = _birth(first)
    median = oldest if middle is first else _birth(middle)
    return model.SiteCounts(
        record.id, record.counts(), oldest, median, record.adopted, max(0, record.retained)
    )


def _birth(reference: Any) -> float | None:
    return futures.birth_of(reference() if reference is not None else None)
