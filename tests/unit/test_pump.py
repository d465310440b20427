"""The pump between source and analysis: history comes in small pages, the largest sites first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import Counts, History, Sample, SiteCounts, SiteHistory, requests
from taskscope.sources.base import NotAvailable
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

    async def stalls(self, query: requests.Stalls) -> NoReturn:
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
