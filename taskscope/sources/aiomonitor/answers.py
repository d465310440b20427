"""Answers from a tally of aiomonitor's lists, as model values: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.sources.aiomonitor import learn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model.vocabulary import TaskState
    from taskscope.sources.aiomonitor.api import Trace
    from taskscope.sources.aiomonitor.tally import KnownTask, Past, Tally


def page(
    tally: Tally, sites: Sequence[int] | None, order: str, after: int | None, limit: int
) -> model.TaskPage:
    """Tasks of these sites (None: all) after the cursor ``after``."""
    members = _members(tally, sites)
    wanted = members if order == "oldest" else members[::-1]
    if after is not None:
        sign = 1 if order == "oldest" else -1
        wanted = [known for known in wanted if sign * known.serial > sign * after]
    shown = wanted[:limit]
    more = shown[-1].serial if shown and len(wanted) > limit else None
    return model.TaskPage(tuple(map(task, shown)), len(members), more)


def detail(tally: Tally, known: KnownTask, trace: Trace) -> model.TaskDetail:
    """One task with the data of its page; ancestors are matched by name."""
    by_name = {each.name: each for each in tally.tasks.values()}
    ancestors = tuple(_ancestor(name, by_name.get(name)) for name in trace.creators)
    parent = ancestors[0].serial if ancestors else 0
    return model.TaskDetail(
        task=task(known, parent=parent, parked=learn.parked(trace.stack)),
        stack=trace.stack,
        waits_for=(),
        awaited_by=(),
        created_by=ancestors,
        creation=trace.creations[0] if trace.creations else (),
        creation_exact=True,
        siblings=0,
    )


def ages(tally: Tally, sites: Sequence[int] | None, now: float) -> model.Ages:
    """Ages of the live tasks of these sites."""
    return model.Ages.of((known.birth for known in _members(tally, sites)), now)


def facts(tally: Tally, site: int, cuts: Sequence[float], now: float) -> model.SiteFacts | None:
    """How many live tasks were born before each cut; None if no birth is known."""
    members = _members(tally, [site])
    births = [known.birth for known in members if known.birth is not None]
    if members and not births:
        return None
    alive = tuple(sum(birth <= cut for birth in births) for cut in cuts)
    return model.SiteFacts(site, now, len(members), alive, cuts=tuple(cuts))


def task(known: KnownTask, *, parent: int = 0, parked: model.Parked | None = None) -> model.Task:
    """A listed task."""
    return model.Task(
        serial=known.serial,
        name=known.name,
        coroutine=known.coroutine,
        state=_STATES.get(known.state, "pending"),
        site=known.site,
        parent=parent,
        orphan=False,
        loop=0,
        birth=known.birth,
        parked=parked,
    )


_STATES: dict[str, TaskState] = {"FINISHED": "finished", "CANCELLED": "cancelled"}
"""By asyncio's names; it lists pending tasks, but one may end meanwhile."""


def ended(past: Past) -> model.Ended:
    """A task that ended, with its outcome if fetched."""
    return model.Ended(
        past.serial, past.site, past.name, past.coroutine, past.outcome, past.error, past.birth, past.end
    )


def _ancestor(name: str, known: KnownTask | None) -> model.Ancestor:
    if known is None:
        return model.Ancestor(0, 0, name, "", live=False)
    return model.Ancestor(known.serial, known.site, name, known.coroutine, live=True)


def _members(tally: Tally, sites: Sequence[int] | None) -> list[KnownTask]:
    chosen = None if sites is None else set(sites)
    return [known for known in tally.tasks.values() if chosen is None or known.site in chosen]
