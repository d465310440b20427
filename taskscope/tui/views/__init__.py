"""The views that open from the overview, one module each.

Each is imported when it first opens, so that the overview paints at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.screen import Screen

    from taskscope.model import Finding
    from taskscope.tui.context import Context
    from taskscope.tui.rows import Row
    from taskscope.tui.views.site import SiteScreen


def site_screen(context: Context, row: Row) -> SiteScreen:
    """The view for a row of the overview: its tasks or its threads."""
    from taskscope.tui.rows import WalkedRow
    from taskscope.tui.views.site import Place, SiteScreen
    from taskscope.tui.views.thread_site import ThreadSiteScreen

    found = [context.store.site(site) for site in row.sites]
    if found and all(each is not None and each.site.kind == "thread" for each in found):
        return ThreadSiteScreen(context, row)
    only = Place(row.group, row.place) if isinstance(row, WalkedRow) and row.by == "parked" else None
    return SiteScreen(context, row, only)


def finding_screen(context: Context, finding: Finding) -> Screen[None]:
    """The view of a finding: its site, the resources for what piles up there, else its whole evidence."""
    from taskscope.tui.views.findings import FindingScreen

    if finding.kind in ("timer", "resource"):
        return screen_of("resources", context)
    row = context.store.site(finding.id)
    return site_screen(context, row) if row is not None else FindingScreen(context, finding)


def screen_of(name: str, context: Context) -> Screen[None]:
    """The view of that name."""
    if name == "threads":
        from taskscope.tui.views.threads import ThreadsScreen

        return ThreadsScreen(context)
    if name == "ended":
        from taskscope.tui.views.ended import EndedScreen

        return EndedScreen(context)
    if name == "cpu":
        from taskscope.tui.views.cpu import CpuScreen

        return CpuScreen(context)
    if name == "stalls":
        from taskscope.tui.views.stalls import StallsScreen

        return StallsScreen(context)
    if name == "changes":
        from taskscope.tui.views.changes import ChangesScreen

        return ChangesScreen(context)
    if name == "resources":
        from taskscope.tui.views.resources import ResourcesScreen

        return ResourcesScreen(context)
    from taskscope.tui.views.loops import LoopsScreen

    return LoopsScreen(context)
