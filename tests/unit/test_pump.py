"""The pump between source and analysis: history comes in small pages, what is silent delays nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import Counts, History, Resources, Sample, SiteCounts, SiteHistory, Timers, requests
from taskscope.sources.base import NotAvailable, TargetSilent
from taskscope.sources.pump import PAGE, PAST_SITES, Pump
from taskscope.sources.saved import SavedSource
from tests.unit.shapes import hello, site

if TYPE_CHECKING:
    from typing import NoReturn

SECONDS = 200


class Remembering(SavedSource):
    """A source whose sites each gained a task a second, as the agent saw; it notes what it is asked."""

    live = True

    def __init__(self) -> None:
        super().__init__("")
        self.pages: list[list[int]] = []

    async def history(self, query: requests.History) -> History:
        nothing = (None,) * SECONDS
        times = tuple(float(second) for second in range(SECONDS))
        return History(times, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing)

    async def site_history(self, query: requests.SiteHistory) -> tuple[SiteHistory, ...]:
        self.pages.append(list(query.sites))
        counts = tuple(range(SECONDS))
        times = tuple(map(float, counts))
        return tuple(SiteHistory(id, times, counts, counts, (0,) * SECONDS) for id in query.sites)

    async def facts(self, query: requests.Facts) -> NoReturn:
        raise NotAvailable("nothing")

    async def stalls(self, query: requests.Stalls) -> tuple[()]:
        raise NotAvailable("nothing")


async def test_the_past_of_many_sites_is_asked_for_in_small_pages_and_judged_at_once() -> None:
    count = PAST_SITES + 50
    counts = tuple(SiteCounts(id, Counts(SECONDS + id, SECONDS + id), 0.0, 100.0) for id in range(count))
    now = float(SECONDS)
    sample = Sample(
        9, now, 1000 + now, 1.0, Counts(count), 1, 9, 9, 0.1, 0.0, 0.0, 9, True,
        tuple(site(id) for id in range(count)), counts,
    )  # fmt: skip
    source = Remembering()
    pump = Pump(source, hello())
    pump.take(sample)
    found = await pump.judged()
    assert {len(page) for page in source.pages} == {PAGE}
    asked = [id for page in source.pages for id in page]
    assert sorted(asked) == list(range(50, count)), "those with the most tasks"
    leaking = {finding.id for finding in found if finding.level == "leak"}
    assert leaking == set(asked)


class TooManyThreads(Remembering):
    """A source that answers what is counted, but says nothing of threads in time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def stalls(self, query: requests.Stalls) -> tuple[()]:
        return ()

    async def timers(self, query: requests.Timers) -> Timers:
        self.asked.append("timers")
        return Timers(0.0)

    async def resources(self, query: requests.Resources) -> Resources:
        self.asked.append("resources")
        return Resources(0.0)

    async def threads(self, query: requests.Threads) -> NoReturn:
        self.asked.append("threads")
        raise TargetSilent("not in time")


async def test_while_older_tasks_are_being_registered_nothing_else_is_walked() -> None:
    source = TooManyThreads()
    pump = Pump(source, hello())
    for now, arriving in ((1.0, True), (2.0, True), (3.0, False)):
        pump.take(
            Sample(
                int(now), now, now, 1.0, Counts(), 1, 1, 1, 0.1, 0.0, 0.0, 9, True, (), (), arriving=arriving
            )
        )
        await pump.judged()
        assert source.asked == ([] if arriving else ["timers", "resources", "threads"])


async def test_what_is_not_answered_in_time_keeps_nothing_else_from_being_counted() -> None:
    source = TooManyThreads()
    pump = Pump(source, hello())
    for now in (1.0, 100.0):
        pump.take(Sample(int(now), now, now, 1.0, Counts(), 1, 1, 1, 0.1, 0.0, 0.0, 9, True, (), ()))
        await pump.judged()
    assert source.asked == ["timers", "resources", "threads"] * 2
