"""One process of a group, opened by itself: over a connection of its own, but judged as in the group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.sources.following import comes_back
from taskscope.sources.secondhand import Secondhand
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskscope.analysis.first_sight import Past
    from taskscope.model import Hello
    from taskscope.sources.base import Source
    from taskscope.sources.group import GroupSource
    from taskscope.sources.members import Attendant


@dataclass(frozen=True, slots=True)
class Membership:
    """``member`` attends to it in the group, which is another object once it was connected to again."""

    group: Callable[[], GroupSource | None]
    member: Attendant

    def _now(self) -> Attendant | None:
        """Who is attached to the process now, or to another one of the same name."""
        group, gone = self.group(), self.member.found
        live = [each for each in group.attendants if each.live] if group is not None else []
        same = [each for each in live if each.found.key == gone.key]
        if comes_back(gone.target):
            same += [each for each in live if each.found.target == gone.target]
        return next(iter(same), None)

    def connect(self) -> Source | None:
        """Not yet opened; None: the group is not attached to it.  Raises SourceError; may block."""
        group, now = self.group(), self._now()
        return group.connect(now.found) if group is not None and now is not None else None

    def judge(self, hello: Hello) -> Secondhand:
        """Says what the group's judge of it says."""

        def now() -> Attendant:
            return self._now() or self.member

        def pasts() -> Mapping[int, Past]:
            judge = now().judge
            return judge.pasts() if judge is not None else {}

        return Secondhand(hello, lambda: now().findings, lambda: now().judged, pasts)
