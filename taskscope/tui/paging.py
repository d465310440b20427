"""Pages of a task list of up to 300,000 tasks; only those around the view are requested.

Pages are chained (each answer holds the cursor of the next), so a position is reached from the nearest
page with a known cursor: from either end of the list, or from a page visited before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Task, TaskPage
    from taskscope.model.vocabulary import Order

PAGE = 400
"""Tasks per page: a few screens, and 1.5 ms of the agent's time."""

OPPOSITE: dict[Order, Order] = {"oldest": "newest", "newest": "oldest"}


class Fetch(Protocol):
    """Requests one page: ``Source.tasks`` with its filters bound."""

    async def __call__(self, *, order: Order, after: int | None, limit: int) -> TaskPage: ...


@dataclass(frozen=True, slots=True)
class Window:
    """Tasks ``first`` to ``first + len(tasks) - 1`` of ``total``."""

    first: int
    total: int
    tasks: tuple[Task, ...]
    exact_total: bool = True


class Pager:
    """One list in one order.  Remembers cursors (one number per page), never rows."""

    def __init__(self, fetch: Fetch, order: Order = "oldest") -> None:
        self._fetch = fetch
        self.order = order
        self._total = 0
        self._cursors: dict[str, list[int | None]] = {"oldest": [None], "newest": [None]}

    async def window(self, first: int, count: int, progress: Callable[[int], None]) -> Window:
        """The pages that hold lines ``first`` to ``first + count - 1``.

        ``progress`` gets the number of tasks skipped on the way, page by page.
        """
        if not self._total:
            first = 0
        last = max(0, self._total - first - count)
        back = OPPOSITE[self.order]
        if self._walk(self.order, first) <= self._walk(back, last):
            return await self._from(self.order, first, count, progress)
        found = await self._from(back, last, count, progress)
        start = max(0, found.total - found.first - len(found.tasks))
        return Window(start, found.total, found.tasks[::-1], found.exact_total)

    def _walk(self, order: Order, first: int) -> int:
        """Pages to skip before line ``first``, counted from that end."""
        return max(0, first // PAGE - len(self._cursors[order]) + 1)

    async def _from(self, order: Order, first: int, count: int, progress: Callable[[int], None]) -> Window:
        """Lines from ``first``, counted from the end of the list where ``order`` begins."""
        cursors = self._cursors[order]
        wanted = first // PAGE
        page = min(wanted, len(cursors) - 1)
        kept: list[Task] = []
        while True:
            answer = await self._fetch(order=order, after=cursors[page], limit=PAGE)
            self._total = answer.total
            if page >= wanted:
                kept.extend(answer.tasks)
            if answer.after is None:
                break
            page += 1
            cursors[page : page + 1] = [answer.after]  # tasks have ended since: this answer is newer
            if page > wanted and page * PAGE >= first + count:
                break
            progress(page * PAGE)
        if not kept and wanted:  # the list is now shorter than the position
            return await self._from(order, max(0, page * PAGE - count), count, progress)
        return Window(
            wanted * PAGE, max(answer.total, wanted * PAGE + len(kept)), tuple(kept), answer.exact_total
        )
