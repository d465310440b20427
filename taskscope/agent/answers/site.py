"""One creation site: its counts, and what is kept of single tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers.tasks import NotFoundError
from taskscope.agent.counts.site_record import site_counts
from taskscope.agent.inspect import stacks

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests


def detail(registry: Registry, query: requests.Site) -> Job[model.SiteDetail]:
    """Raises NotFoundError."""
    record = registry.by_id.get(query.site)
    if record is None:
        raise NotFoundError(f"site {query.site} is unknown")
    found = [
        model.CreationStack(serial, stacks.describe_raw(raw))
        for serial, raw in [*record.first_stacks, *record.last_stacks]
    ]
    yield
    return model.SiteDetail(record.site, site_counts(record), tuple(found), registry.failures.of(query.site))
