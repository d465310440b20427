"""Metrics: the official parser reads them, series are bounded, no counter falls, hostile names stay names."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from typing import TYPE_CHECKING

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from taskscope.commands.serving import exposed
from taskscope.export.dashboard import PANELS
from taskscope.export.openmetrics import OPENMETRICS, Family, Point, write
from taskscope.export.site_series import MAX_OWN
from taskscope.model import LATENCY_BOUNDS, Counts, Frame, LatencyCounts, Sample, Site, SiteCounts
from taskscope.sources import exposition
from taskscope.sources.exposition import Exposition
from taskscope.sources.saved import SavedSource
from tests.unit.shapes import hello

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric


def openmetrics(text: str) -> list[Metric]:
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def site(id: int, function: str = "spawn") -> Site:
    frame = Frame("/srv/app.py", id, function)
    return Site(id, "thread" if id % 2 else "task", frame, frame, f"work_{id}")


def sample(at: float, counts: Iterable[SiteCounts], sites: Iterable[Site] = ()) -> Sample:
    return Sample(
        int(at), at, 1000 + at, 1.0, Counts(5, 5), 2, 10, 1 << 20, 0.1, 0.001, None, None,
        new_sites=tuple(sites), sites=tuple(counts),
    )  # fmt: skip


def counts(id: int, live: int, born: int) -> SiteCounts:
    return SiteCounts(id, Counts(live, born, finished=born - live), oldest=1.0)


def shown(*samples: Sample, host: str = "host") -> Exposition:
    found = Exposition("svc")
    greeting = hello()
    found.begin(
        dataclasses.replace(greeting, process=dataclasses.replace(greeting.process, host=host, fd_limit=100))
    )
    for each in samples:
        found.apply(each)
    found._source = SavedSource("")
    return found


def parsed(found: Exposition) -> dict[str, Metric]:
    return {each.name: each for each in openmetrics(exposed([found], OPENMETRICS)[1])}


def values(metric: Metric, label: str) -> dict[str, float]:
    return {each.labels[label]: each.value for each in metric.samples if label in each.labels}


def test_the_official_parsers_read_both_formats() -> None:
    found = shown(sample(10, [counts(2, 3, 5)], [site(2)]))
    named = parsed(found)
    assert named["taskscope_site_born"].type == "counter"
    assert named["taskscope_target"].samples[0].labels["attach"] == "taskscope attach 1"
    assert values(named["taskscope_site_live"], "site") == {"app.py:2 spawn": 3}
    assert values(named["taskscope_site_ended"], "outcome")["finished"] == 2
    assert values(named["taskscope_site_oldest_age_seconds"], "site") == {"app.py:2 spawn": 9}
    assert named["taskscope_limit_projected_seconds"].unit == "seconds"
    older = {each.name: each for each in parser.text_string_to_metric_families(exposed([found], "")[1])}
    assert "taskscope_site_born" in older
    assert "taskscope_target_info" in older


def test_a_histogram_adds_up() -> None:
    found = shown(sample(10, []))
    found._latencies = LatencyCounts((1,) * (len(LATENCY_BOUNDS) + 1), 20.0)
    latency = parsed(found)["taskscope_loop_latency_seconds"]  # the parser checks that buckets never fall
    assert latency.samples[-1].value == 20.0
    assert latency.samples[-2].value == len(LATENCY_BOUNDS) + 1


def test_sites_beyond_the_bound_are_summed_with_their_number() -> None:
    many = range(1, 3 * MAX_OWN + 1)
    found = shown(
        sample(10, [counts(id, 2, 4) for id in many], map(site, many)),
        sample(11, [counts(id, 2, 5) for id in many]),
    )
    named = parsed(found)
    own = {each.labels["site"] for each in named["taskscope_site_live"].samples}
    assert len(own) == MAX_OWN + 1
    assert sum(each.value for each in named["taskscope_site_live"].samples) == 2 * len(many)
    assert sum(each.value for each in named["taskscope_site_born"].samples) == 5 * len(many)
    assert named["taskscope_other_sites"].samples[0].value == 2 * MAX_OWN


def test_a_busier_site_gets_its_own_series_and_no_counter_falls() -> None:
    many = range(1, MAX_OWN + 3)
    found = shown(sample(10, [counts(id, 2, 5) for id in many], map(site, many)))

    def born() -> dict[tuple[str, ...], float]:
        samples = parsed(found)["taskscope_site_born"].samples
        return {(each.labels["kind"], each.labels["site"]): each.value for each in samples}

    before = born()
    assert ("task", f"app.py:{MAX_OWN + 2} spawn") not in before
    found.apply(sample(11, [counts(MAX_OWN + 2, 50, 60)]))
    after = born()
    assert after["task", f"app.py:{MAX_OWN + 2} spawn"] == 60
    assert all(after[key] >= before[key] for key in before.keys() & after.keys())


def test_names_from_the_target_stay_names() -> None:
    evil = 'x"} 1\n# EOF\ntaskscope_up{pid="\\'
    found = shown(sample(10, [counts(2, 3, 5)], [site(2, evil)]), host=evil)
    named = parsed(found)
    assert named["taskscope_up"].samples[0].labels["host"] == evil
    assert values(named["taskscope_site_live"], "site") == {f"app.py:2 {evil}": 3}


def test_a_target_that_is_gone_is_a_state() -> None:
    found = shown(sample(10, [counts(2, 3, 5)], [site(2)]))
    asyncio.run(found.end())
    assert list(parsed(found)) == ["taskscope_up"]
    assert list(parsed(Exposition("never seen"))) == ["taskscope_up"]


def test_two_targets_that_name_one_process_are_one() -> None:
    found = shown(sample(10, []))
    assert exposed([found, found], OPENMETRICS) == exposed([found], OPENMETRICS)


def test_numbers_are_written_as_they_are() -> None:
    family = Family("x", "gauge", "Anything.")
    numbers = [0.1, 3.0, 1e300, float("inf")]
    points = [Point(family, (("a", str(each)),), each) for each in numbers]
    (metric,) = openmetrics(write(points, openmetrics=True))
    assert [each.value for each in metric.samples] == numbers


def test_every_alert_says_how_to_get_to_the_process() -> None:
    from taskscope.commands.metrics import _packaged

    _, *alerts = _packaged(dashboard=False).split("- alert: ")
    for each in alerts:
        assert "On {{ $labels.host }}: taskscope attach {{ $labels.pid }}" in each
        assert "\"taskscope attach --via 'ssh {{ $labels.host }}' {{ $labels.pid }}\"" in each


def test_alerts_and_dashboard_ask_only_for_what_there_is() -> None:
    from taskscope.commands.metrics import _packaged

    there = {each for each in vars(exposition).values() if isinstance(each, Family)}
    suffixes = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket",), "gauge": ("",)}
    names = {f"taskscope_{each.name}{suffix}" for each in there for suffix in suffixes[each.kind]}
    asked = [_packaged(dashboard=False), *(query for panel in PANELS for query, _ in panel.queries)]
    found = set(re.findall(r"taskscope_\w+", " ".join(asked)))
    assert len(found) > 10
    assert found <= names
