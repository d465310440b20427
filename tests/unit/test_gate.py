"""When a watch fails, and how it is reported to a build server."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

import pytest

from taskscope.commands.ci import annotation, write_junit
from taskscope.commands.common import CommandError
from taskscope.commands.gate import Check, Limits, checks, kept, matches, since
from taskscope.commands.watch import MAX_COUNTS, MAX_SAMPLES, Samples
from taskscope.model import Cause, Finding, Frame
from taskscope.model.changes import Side
from tests.unit.test_watch import observed, sample

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Level

PLACE = Frame("/srv/app/client.py", 64, "FeedClient.connect")


def finding(level: Level, coroutine: str = "FeedClient.heartbeat") -> Finding:
    cause = Cause("orphan", "orphans: what started them has ended")
    return Finding(level, "task", 1, PLACE, PLACE, coroutine, 40, 36.0, 5.0, "40 live", cause=cause)


def failures(found: tuple[Check, ...]) -> list[str]:
    return [check.failure for check in found if check.failure]


async def test_a_leak_and_a_hang_fail_and_a_suspect_only_if_asked() -> None:
    observation = await observed(sample(0, {1: 5}, (1,)))
    observation.findings = (finding("leak"), finding("suspect", "other"), finding("info", "pool"))
    assert failures(checks(observation, Limits())) == ["40 live: orphans: what started them has ended"]
    assert len(failures(checks(observation, Limits(fail_on="suspect")))) == 2
    observation.findings = (finding("hang"),)
    assert len(failures(checks(observation, Limits()))) == 1
    observation.findings = ()
    assert failures(checks(observation, Limits())) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "FeedClient.heartbeat",
        "*.heartbeat",
        "FeedClient.connect",
        "client.py",
        "client.py:64",
        "/srv/*",
        "*:64",
    ],
)
def test_a_finding_can_be_ignored_by_what_it_is_and_where(pattern: str) -> None:
    assert kept((finding("leak"),), (pattern,)) == ()


def test_what_is_not_named_is_not_ignored() -> None:
    assert len(kept((finding("leak"),), ("heartbeat", "client.py:6", "FeedClient"))) == 1


def test_a_site_without_a_user_frame_still_matches() -> None:
    assert matches(("run",), "run", PLACE, None)


async def test_a_limit_on_single_sites_is_for_those_only() -> None:
    observation = await observed(*(sample(second, {1: second, 2: 7}, (1, 2)) for second in range(31)))
    assert len(failures(checks(observation, Limits(sites=(("work1", 30.0),))))) == 1
    assert failures(checks(observation, Limits(sites=(("work1", 90.0), ("work2", 1.0), ("none", 0.0))))) == []


async def test_percent_is_from_the_baseline_if_there_is_one() -> None:
    first = sample(0, {1: 100}, (1,))
    baseline = first
    observation = await observed(*(sample(600 + second, {1: 110}, (1,)) for second in range(5)))
    assert failures(checks(observation, Limits(percent=5))) == []
    (failure,) = failures(checks(observation, Limits(percent=5), baseline))
    assert failure == "tasks grew by 10.0 % since the baseline; the limit is 5 %"
    changes = since(observation, Side(baseline))
    assert changes is not None
    assert [(change.site.coroutine, change.delta) for change in changes.sites] == [("work1", 10)]


async def test_memory_has_its_own_limit() -> None:
    from dataclasses import replace

    observation = await observed(
        *(replace(sample(second, {1: 1}, (1,)), rss=1000 + second) for second in range(300))
    )
    (failure,) = failures(checks(observation, Limits(memory_percent=10)))
    assert failure.startswith("memory grew by 26.")
    assert failures(checks(observation, Limits(memory_percent=30))) == []


def test_samples_for_the_json_stay_within_bounds_and_lose_nothing() -> None:
    samples = Samples()
    for second in range(3 * MAX_SAMPLES):
        samples.add(dataclasses.replace(sample(second, {second: 1}, (second,)), full=False))
    assert len(samples.kept) < MAX_SAMPLES
    assert sum(len(each.sites) for each in samples.kept) == 3 * MAX_SAMPLES
    assert samples.kept[-1].monotonic == 3 * MAX_SAMPLES - 1


def test_samples_of_many_sites_are_fewer() -> None:
    samples = Samples()
    sites = dict.fromkeys(range(1000), 1)
    for second in range(301):
        samples.add(sample(second, sites, tuple(sites) if second == 0 else ()))
        assert sum(len(each.sites) for each in samples.kept) <= MAX_COUNTS
    assert len(samples.kept) > 20
    assert samples.kept[-1].monotonic == 300
    gaps = [b.monotonic - a.monotonic for a, b in itertools.pairwise(samples.kept[:-1])]
    assert set(gaps) == {8.0}  # even, so that a chart of them is true


def test_a_junit_file_has_a_case_for_each_check(tmp_path: Path) -> None:
    path = tmp_path / "watch.xml"
    write_junit(str(path), "orders", 60.0, (Check("a"), Check("b", "grows <fast> &", PLACE)))
    suite = Xml.fromstring(path.read_text())
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite[1][0]
    assert failure.get("message", "").startswith("grows <fast> &")
    assert (suite[1].get("file"), suite[1].get("line")) == ("/srv/app/client.py", "64")


def test_a_junit_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot write"):
        write_junit(str(tmp_path / "no" / "watch.xml"), "x", 1.0, ())


def test_github_gets_the_line_relative_to_the_working_directory() -> None:
    here = Frame(str(Path.cwd() / "app" / "client.py"), 64, "connect")
    line = annotation(Check("leak in FeedClient.heartbeat", "5 % more\nand: more", here))
    place = "file=app/client.py,line=64,title=TaskScope%3A leak in FeedClient.heartbeat"
    assert line == f"::error {place}::5 %25 more%0Aand: more"
    assert annotation(Check("all tasks", "too many")).startswith("::error title=TaskScope%3A all tasks::")
