"""Why the tasks of a site do not end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import Cause

if TYPE_CHECKING:
    from taskscope.model import Site, SiteFacts


def signs(facts: SiteFacts | None, before: SiteFacts | None) -> int:
    return 0


def explain(site: Site, facts: SiteFacts | None, before: SiteFacts | None) -> Cause | None:
    return None
