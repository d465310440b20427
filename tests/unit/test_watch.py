"""What ``watch`` makes of samples: series in bounded memory, limits, the JSON of a finding, text."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import time
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, NoReturn

import pytest

from taskscope import wire
from taskscope.commands.common import duration
from taskscope.commands.contract import finding_of_contract
from taskscope.commands.gate import Limits, checks
from taskscope.commands.observe import MAX_POINTS, LiveCounts, Observation, observe
from taskscope.commands.summary import report
from taskscope.commands.watch import percentage, rate
from taskscope.commands.watch_lines import Lines
from taskscope.model import (
    Cause,
    Counts,
    Finding,
    Frame,
    Hello,
    Process,
    Projection,
    Sample,
    Silence,
    Site,
    SiteCounts,
    requests,
)
from taskscope.sources.base import NotAvailable
from taskscope.sources.saved import SavedSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROCESS = Process(1, "svc", "3.11.7", "cpython", "/python", ("svc.py",), "host", "me", "/", 0.0)
HELLO = Hello(wire.PROTOCOL, "0.1.0", PROCESS, 1.0, False, 0.0, 0.0, 1000.0)
PLACE = Frame("/srv/app/main.py", 7, "handle")


class Silent(SavedSource):
    """A source without history or facts: only its samples count."""

    live = True

    async def site_history(self, query: requests.SiteHistory) -> NoReturn:
        raise NotAvailable("nothing")

    async def history(self, query: requests.History) -> NoReturn:
        raise NotAvailable("nothing")

    async def stalls(self, query: requests.Stalls) -> NoReturn:
        raise NotAvailable("nothing")

    async def facts(self, query: requests.Facts) -> NoReturn:
        raise NotAvailable("nothing")


def sample(seconds: float, lives: dict[int, int], new: tuple[int, ...] = ()) -> Sample:
    sites = tuple(Site(id, "task", PLACE, PLACE, f"work{id}") for id in new)
    counts = tuple(SiteCounts(id, Counts(live=live, born=live), oldest=0.0) for id, live in lives.items())
    return Sample(
        seq=int(seconds),
        monotonic=seconds,
        wall=1000 + seconds,
        interval=1.0,
        tasks=Counts(live=sum(lives.values())),
        threads=1,
        fds=None,
        rss=None,
        cpu=None,
        loop_latency=None,
        agent_cpu=None,
        agent_memory=None,
        full=bool(new),
        new_sites=sites,
        sites=counts,
    )


async def feed(observation: Observation, sample: Sample) -> None:
    observation.pump.take(sample)
    await observation.judge()


async def observed(*samples: Sample) -> Observation:
    observation = Observation(Silent(""), HELLO)
    for each in samples:
        await feed(observation, each)
    return observation


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30.0), ("1.5s", 1.5), ("10m", 600.0), ("6h", 21600.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1d", "0ms", "1e3s", "infs"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a duration like 500ms, 30s, 10m or 6h"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "per_minute"), [("2/min", 2.0), ("120/h", 2.0), ("0.5/s", 30.0), ("0/min", 0.0)]
)
def test_rates(text: str, per_minute: float) -> None:
    assert rate(text) == per_minute


@pytest.mark.parametrize(("text", "value"), [("5", 5.0), ("5%", 5.0), ("0.5", 0.5)])
def test_percentages(text: str, value: float) -> None:
    assert percentage(text) == value


def test_a_series_stays_within_bounds_and_keeps_its_slope() -> None:
    series = LiveCounts()
    for second in range(20 * MAX_POINTS):
        series.add(float(second), 10 * second)
    assert len(series.times) <= MAX_POINTS
    assert series.times[0] == 0
    assert series.times[-1] > 19 * MAX_POINTS
    assert series.per_minute == pytest.approx(600)


async def test_limits_hold_for_all_tasks_together() -> None:
    observation = await observed(*(sample(second, {1: 100 + second}, (1,)) for second in range(61)))

    def failures(growth: float | None, percent: float | None) -> int:
        found = checks(observation, Limits(growth=growth, percent=percent))
        return sum(1 for check in found if check.failure.startswith("tasks"))

    assert failures(None, None) == 0
    assert failures(61, 60) == 0
    assert failures(59, None) == 1
    assert failures(None, 40) == 1
    assert failures(59, 40) == 2


async def test_older_tasks_that_move_to_the_line_that_starts_them_are_no_change() -> None:
    older, line = (Site(id, "task", PLACE, PLACE, "work") for id in (1, 2))
    first = dataclasses.replace(sample(0, {1: 25}, (1,)), new_sites=(older,))
    moved, more = ((SiteCounts(2, Counts(live=live, born=live), adopted=25),) for live in (26, 27))
    second = dataclasses.replace(sample(1, {}), full=True, new_sites=(line,), sites=moved)
    observation = await observed(first, second, dataclasses.replace(sample(2, {}), sites=more))
    seen = observation.sites[2]
    assert (seen.live.values, seen.state.gained) == ([25, 26, 27], 2)
    assert "  27      +2 " in report(observation)


async def test_older_tasks_that_are_found_during_the_watch_are_neither_growth_nor_births() -> None:
    def found(seconds: float, older: int, live: int, site: int) -> Sample:
        counts = SiteCounts(site, Counts(live, live), oldest=0.0, adopted=older)
        totals = Counts(live=live if site == 1 else 400 + live)
        return dataclasses.replace(sample(seconds, {}), tasks=totals, sites=(counts,))

    named = dataclasses.replace(sample(0, {1: 5}, (1, 2)), sites=(SiteCounts(1, Counts(5, 5), adopted=5),))
    observation = await observed(named, found(1, 395, 400, 1), found(2, 900, 900, 2), found(3, 2000, 2006, 2))
    one, other = observation.sites[1], observation.sites[2]
    assert (one.live.values, one.state.gained) == ([395, 400, 400, 400], 5)
    assert (other.live.values, other.state.gained) == ([2000, 2000, 2006], 6)
    assert observation.tasks.values == [2395, 2400, 2400, 2406]
    assert "2,006      +6" in report(observation)
    assert "     2.0      0.0" in report(observation)  # born per second


async def test_a_site_that_does_not_change_is_flat() -> None:
    observation = await observed(sample(0, {1: 5, 2: 7}, (1, 2)), sample(1, {1: 6}), sample(2, {1: 7}))
    assert observation.sites[2].live.values == [7, 7, 7]
    assert observation.sites[1].live.per_minute == pytest.approx(60)


async def test_a_site_that_comes_later_has_grown_from_nothing() -> None:
    observation = await observed(sample(0, {1: 5}, (1,)), sample(60, {2: 30}, (2,)))
    seen = observation.sites[2]
    assert (seen.state.first.live, seen.state.counts.counts.live) == (0, 30)
    assert seen.live.per_minute == pytest.approx(30)


async def test_the_report_names_places_and_growth() -> None:
    observation = await observed(sample(0, {1: 5}, (1,)), sample(30, {1: 1005}))
    text = report(observation)
    assert "svc  pid 1  Python 3.11.7  watched for 30 s" in text
    assert "1,005  +1,000   +2,000" in text
    assert "main.py:7 handle  work1" in text
    assert "Too early to judge: 1 place grows and has no verdict yet; watch longer." in text


async def test_the_table_names_the_line_of_the_program_and_that_of_the_library() -> None:
    site = Site(1, "task", Frame("/lib/pool.py", 9, "get", "library"), Frame("/srv/a.py", 7, "go"), "work")
    first = dataclasses.replace(sample(0, {1: 5}), new_sites=(site,))
    assert "a.py:7 go → pool.py:9 get" in report(await observed(first, sample(30, {1: 6})))


async def test_a_report_on_nothing_says_so() -> None:
    assert "No sample received" in report(await observed())
    assert "No task was alive" in report(await observed(sample(0, {}, ())))


async def test_the_table_keeps_within_80_columns() -> None:
    place = Frame("/srv/app/notifications.py", 1234, "NotificationCentre.Subscriptions.deliver_to_everybody")
    site = Site(1, "task", place, place, "NotificationCentre.deliver")
    first = dataclasses.replace(sample(0, {1: 5}), new_sites=(site,))
    busy = dataclasses.replace(sample(60, {1: 300_005}), rss=123_000_000, cpu=0.99, fds=20_000)
    lines = report(await observed(first, busy)).split("\n")
    assert any("300,005" in line and "notifications.py:1234" in line for line in lines)
    assert max(map(len, lines)) <= 80


async def test_a_finding_is_told_with_its_cause() -> None:
    observation = await observed(sample(0, {1: 5}, (1,)))
    observation.findings = (FINDING,)
    clock = time.strftime("%H:%M", time.localtime(1000 + FINDING.since))
    told = f"LEAK    main.py:7 handle  it grows; since {clock}\n        one sleeper per event\n"
    assert told in report(observation) + "\n"


async def test_a_finding_in_a_library_is_shown_with_both_lines_within_80_columns() -> None:
    observation = await observed(sample(0, {1: 5}, (1,)))
    user = Frame("/srv/app/main.py", 7, "a_handler_with_a_name_that_fills_a_line_by_itself")
    library = Frame("/lib/pool.py", 99, "ConnectionPool.borrow")
    helper = Frame("/lib/tasks.py", 5, "spawn")
    long = dataclasses.replace(
        FINDING, site=library, user_site=user, via=helper, known="imputed", since_at_least=True
    )
    observation.findings = (long,)
    lines = report(observation).split("\n")
    said = " ".join(line.strip() for line in lines)
    assert f"LEAK    ~main.py:7 {user.function}" in said
    assert "it grows; since before " in said
    assert f"started at pool.py:99 {library.function}, called from main.py:7 {user.function}" in said
    assert "through tasks.py:5 spawn" in said
    assert "the line is a guess: these tasks are older than the agent" in said
    assert max(map(len, lines)) <= 80


FINDING = Finding(
    "leak",
    "task",
    1,
    PLACE,
    None,
    "work",
    30,
    6.5,
    12.0,
    "it grows",
    {"n": 1},
    Cause("sleeper per event", "one sleeper per event"),
)


def test_a_finding_has_exactly_the_fields_of_the_contract() -> None:
    assert finding_of_contract(FINDING) == {
        "level": "leak",
        "kind": "task",
        "site": {"file": "/srv/app/main.py", "line": 7, "function": "handle"},
        "user_site": None,
        "via": None,
        "coroutine": "work",
        "live": 30,
        "rate_per_min": 6.5,
        "since": 12.0,
        "since_wall": None,
        "since_at_least": False,
        "evidence": {"n": 1},
        "cause": {"pattern": "sleeper per event", "text": "one sleeper per event"},
        "projection": None,
        "processes": [],
    }


RISING = Projection("fds", 800, 1024, 60.0, 224.0, 200.0, 250.0, (1,))


async def test_a_forecast_is_in_text_and_json_of_the_finding() -> None:
    grows = {"moves": {"fds": {"correlation": 0.98, "each": 3.0}}}
    observation = await observed(sample(0, {1: 5}, (1,)))
    observation.findings = (dataclasses.replace(FINDING, evidence=grows, projection=RISING),)
    text = " ".join(report(observation).split())
    assert "descriptors grow with it, about 3 descriptors per task" in text
    assert "Descriptors run out in 4 min (between 3 min and 4 min): 800 of 1,024, +60/min." in text
    (told,) = map(finding_of_contract, observation.findings)
    assert (told["projection"]["resource"], told["projection"]["seconds"]) == ("fds", 224.0)


@pytest.mark.parametrize(
    ("grows", "said"),
    [
        (40, "No finding on tasks or threads; memory rises by 60 MB/min."),
        (9, "Too early to judge: watched for 8.0s, a verdict takes 18s; watch longer."),
        (21, "No findings."),  # it has only begun
    ],
)
async def test_no_findings_is_not_said_while_memory_keeps_rising(grows: int, said: str) -> None:
    rows = [
        dataclasses.replace(sample(at, {1: 5}, (1,) if at == 0 else ()), rss=10**8 + at * 10**6)
        for at in range(grows)
    ]
    assert said in report(await observed(*rows))


async def test_a_line_that_is_known_later_is_shown_from_then_on() -> None:
    first, second = sample(0, {1: 5}, (1,)), sample(1, {1: 6}, (1,))
    (site,) = second.new_sites
    line = dataclasses.replace(site, known="imputed", frame=dataclasses.replace(site.frame, line=77))
    observation = await observed(first, dataclasses.replace(second, new_sites=(line,)))
    assert observation.sites[1].state.site.frame.line == 77
    assert observation.sites[1].state.first.live == 5


def test_a_silence_is_reported_when_it_begins_when_its_reason_changes_and_when_it_ends() -> None:
    observation = Observation(Silent(""), HELLO)
    heard = [
        Silence(2, "held", "A"),
        Silence(5, "held", "A"),
        Silence(6, "held", "A"),
        Silence(7, "stuck", "B"),
    ]
    heard += [Silence(36, "stuck", "B"), Silence(37, "stuck", "B")]
    said = [observation.hear(each) for each in heard]
    assert said == ["", "no samples for 5 s: A", "", "no samples for 7 s: B", "", "no samples for 37 s: B"]
    assert observation.hear(None) == "samples resumed after 37 s"
    assert observation.silences == [heard[-1]]
    assert checks(observation, Limits())[0].failure == "no samples for 37 s: B"


def test_a_stop_is_reported_at_once_and_forgiven_if_it_is_short() -> None:
    observation = Observation(Silent(""), HELLO)
    assert observation.hear(Silence(1, "stopped", "C")) == "no samples for 1 s: C"
    assert observation.hear(None) == "samples resumed after 1 s"
    assert observation.silences == []


class Paced(Silent):
    """Sends a sample every 20 ms, ``until`` one of them; what it is asked takes ``slow`` seconds."""

    def __init__(self, until: int = 10**6, slow: float = 0.0) -> None:
        super().__init__("")
        self._until, self._slow = until, slow

    async def samples(self) -> AsyncIterator[Sample]:
        for number in itertools.count():
            if number == self._until:
                await asyncio.Event().wait()
            yield sample(number / 50, {1: 5}, (1,))
            await asyncio.sleep(0.02)

    async def stalls(self, query: requests.Stalls) -> NoReturn:
        await asyncio.sleep(self._slow)
        raise NotAvailable("nothing")


async def told(source: Paced, seconds: float) -> tuple[Observation, list[Sample]]:
    observation = Observation(source, dataclasses.replace(HELLO, interval=0.01))
    told: list[Sample] = []
    await observe(observation, seconds, 0.01, told.append)
    return observation, told


async def test_samples_go_on_while_long_answers_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskscope.commands.observe.PATIENCE", 0.01)
    monkeypatch.setattr("taskscope.commands.observe.LAST", 0.0)
    observation, samples = await told(Paced(slow=60.0), 0.3)
    assert len(samples) > 2
    (failure,) = [each.failure for each in checks(observation, Limits()) if each.failure]
    assert failure.startswith("samples came, but no verdict")


class Tired(Paced):
    """Answers once, and then no more."""

    async def stalls(self, query: requests.Stalls) -> NoReturn:
        slow, self._slow = self._slow, 3600.0
        await asyncio.sleep(slow)
        raise NotAvailable("nothing")


async def test_nobody_goes_on_asking_when_the_watch_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskscope.commands.observe.PATIENCE", 0.1)
    before = asyncio.all_tasks()
    observation, _ = await told(Tired(), 0.2)
    assert observation.judged
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("until", [0, 1])
async def test_no_samples_at_the_beginning_or_at_the_end_is_a_silence(
    until: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskscope.commands.observe.QUIET", 0.5)
    monkeypatch.setattr("taskscope.commands.observe.LATE", 0.0)
    observation, samples = await told(Paced(until), 0.1)
    assert len(samples) == until
    (silence,) = observation.silences
    assert silence.seconds >= 0.5
    assert checks(observation, Limits())[0].failure.startswith("no samples for 1 s")


@pytest.mark.parametrize(("seconds", "early"), [(2, True), (20, False)])
async def test_the_last_line_and_the_checks_tell_whether_it_was_too_early(seconds: int, early: bool) -> None:
    observation = await observed(*(sample(at, {1: 5}, (1,)) for at in range(seconds + 1)))
    lines: list[str] = []
    found = checks(observation, Limits())
    observation.findings = (FINDING,)
    Lines(lines.append).end(observation, found)
    begins, end = map(json.loads, lines)
    assert (begins["event"], begins["finding"]) == ("finding", end["findings"][0])
    assert (end["judged_seconds"], end["too_early"], end["status"]) == (seconds, early, 0)
    assert found[-1].name == ("too early to judge leaks and hangs" if early else "nothing leaks or hangs")
