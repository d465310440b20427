"""Sites of one coroutine: tasks older than the agent stand at an inferred site, later ones at their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import Site
    from taskscope.model.state import SiteState


class Kin:
    """Which sites start the same coroutine.  ``sites`` and ``watched`` are the judge's own."""

    def __init__(self, sites: Mapping[int, SiteState], watched: Mapping[int, WatchedSite]) -> None:
        self._sites, self._watched = sites, watched
        self._of_coroutine: dict[tuple[str, str], set[int]] = {}

    def add(self, site: Site) -> None:
        """Adds a site, or what is better known of it."""
        self._of_coroutine.setdefault((site.kind, site.coroutine), set()).add(site.id)

    def replaced(self, id: int, now: float, *, recent: bool) -> int:
        """How many tasks of the same coroutine that predate the agent have ended since.

        Their creation site is inferred, so they are not in the series of site ``id``.
        """
        site = self._sites[id].site if id in self._sites else None
        if site is None or site.known != "exact":
            return 0
        kin = self._of_coroutine[site.kind, site.coroutine]
        older = [
            each
            for each in kin
            if each in self._watched and each in self._sites and self._sites[each].site.known != "exact"
        ]
        ended = 0
        for each in older:
            track = self._watched[each].recent if recent else self._watched[each].whole
            bins = track.bins(now)
            ended += max(bin.high for bin in bins) - bins[-1].live
        return ended // max(1, len(kin) - len(older))
