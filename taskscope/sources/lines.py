"""The text of the lines that start tasks, as the target has it: a line that moved is known again by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import requests
from taskscope.sources.base import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model import Frame, Sample, Site, SourceLines
    from taskscope.sources.base import Source

SITES = 50
"""Sites whose line is read, most live tasks first: each costs the target a look at its modules and a file."""

WIDTH = 200
"""Characters of a line that are kept."""


async def texts(source: Source, sites: Iterable[Site], sample: Sample) -> dict[int, str]:
    """The text of the biggest sites' lines, by site.  Raises SourceError if the target goes."""
    live = {each.site: each.counts.live for each in sample.sites}
    biggest = sorted((site for site in sites if site.frame.line), key=lambda site: -live.get(site.id, 0))
    found: dict[int, str] = {}
    for site in biggest[:SITES]:
        try:
            lines = await source.ask(requests.Source(site.frame.file, site.frame.line, 0))
        except NotAvailable:
            continue
        text = text_in(lines, site.frame)
        if text:
            found[site.id] = text
    return found


def text_in(lines: SourceLines, frame: Frame) -> str:
    """The text of one line, without its indentation; empty if it is not among ``lines``."""
    at = frame.line - lines.first
    inside = lines.file == frame.file and 0 <= at < len(lines.lines)
    return lines.lines[at].strip()[:WIDTH] if inside else ""
