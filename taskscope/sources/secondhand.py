"""A judge that passes on what others have found, for who watches what is judged already.

A group's findings are its members'; a process opened from a group is judged by the group's judge of it, so
that both say the same, at once, and the target is asked only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.judge import Judge
from taskscope.model import Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskscope.analysis.first_sight import Past
    from taskscope.model import Finding, Hello, Sample


class Secondhand(Judge):
    """It judges nothing itself, and has no questions."""

    def __init__(
        self,
        hello: Hello,
        findings: Callable[[], tuple[Finding, ...]],
        judged: Callable[[], Judged | None],
        pasts: Callable[[], Mapping[int, Past]] = dict,
    ) -> None:
        super().__init__(hello)
        self._findings, self._judged, self._pasts = findings, judged, pasts

    def past(self, *_: object) -> None:
        """Whoever judges knows the past."""

    def feed(self, sample: Sample) -> None:
        self.state.apply(sample)

    def findings(self) -> tuple[Finding, ...]:
        return self._findings()

    @property
    def judged(self) -> Judged:
        return self._judged() or Judged(0.0)

    def pasts(self) -> dict[int, Past]:
        return dict(self._pasts())
