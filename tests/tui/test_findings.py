"""Findings in the app: on top of the overview, in their list, at their site; dismissed and restored."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

import pytest

from taskscope import model
from taskscope import text as fmt
from taskscope.analysis.patterns.pattern import said
from taskscope.analysis.patterns.races import RACE_LOSER
from taskscope.analysis.patterns.stalls import stalled
from taskscope.sources.base import NotAvailable
from taskscope.text import shortened
from taskscope.tui import current_findings as found
from taskscope.tui.app import TaskScopeApp
from taskscope.tui.context import Context
from taskscope.tui.store import Store
from tests.tui.fake_source import BOOT, LEAK, STREAMS, FakeSource
from tests.tui.running import SIZES, click_line, running
from tests.tui.screen_text import screen_text, until, until_shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from taskscope.model import requests
    from taskscope.model.vocabulary import Level

EXPLAINED = model.Cause(
    "sleeper per event",
    "one sleeper per event: each sleeps once and ends",
    ("200 of 200 tasks looked into are parked at executor.py:244",),
    "Keep the times in a deque and let one ticker go through it.",
    shorter=("one sleeper per event: each just sleeps, then exits", "one sleeper per event"),
)
WHERE = model.Frame("/app/spin.py", 4, "parse")
RUNS_OUT = model.Projection("fds", 212, 1024, 40.0, 1218.0, 1100.0, None, (LEAK,))


class Saved(FakeSource):
    """A saved state with the findings it was saved with."""

    def __init__(self, *findings: model.Finding) -> None:
        super().__init__(start=250)
        self.live = False
        self.findings = findings
        self.judged = model.Judged(250.0)

    async def samples(self) -> AsyncIterator[model.Sample]:
        yield self.sample(full=True)

    async def history(self, query: requests.History) -> model.History:
        plain = await super().history(query)
        return dataclasses.replace(plain, rss=tuple(100e6 for _ in plain.times))


def finding(site: int = LEAK, level: Level = "leak", **changes: object) -> model.Finding:
    where = next(each for each in FakeSource().sites if each.id == site)
    plain = model.Finding(
        level, where.kind, site, where.frame, where.user_frame, where.coroutine, 25_000, 6000.0, 1010.0,
        "25,000 live, steadily +6,000 a minute", {"moves": {"fds": {"correlation": 0.98, "each": 0.5}}},
        EXPLAINED, RUNS_OUT,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
async def test_a_leak_is_reported_with_its_line_its_rate_and_its_start(size: tuple[int, int]) -> None:
    async with running(FakeSource(start=250), size) as (app, pilot):
        await until_shown(pilot, "LEAK")
        line = next(line for line in screen_text(app).split("\n") if "LEAK" in line)
        assert "executor.py:231 record_failure" in line
        assert "+6,000/min since" in line
        row = next(line for line in screen_text(app).split("\n") if line.startswith("▌"))
        assert " !  executor.py:231" in row


async def test_80x24_tells_the_worst_with_its_cause_and_how_many_more_there_are() -> None:
    three = Saved(finding(), finding(STREAMS, "suspect"), finding(4, "suspect", known="imputed"))
    async with running(three) as (_, pilot):
        await until_shown(pilot, "one sleeper per event")  # the second line comes with the next layout
        screen = await until_shown(pilot, "+2 more")
        line = next(line for line in screen.split("\n") if "+2 more" in line)
        assert line.startswith("  LEAK   executor.py:231 record_failure   +6,000/min since")
        why = screen.split("\n")[screen.split("\n").index(line) + 1]
        assert why.strip() == "one sleeper per event   descriptors run out in 20 min"
        assert "SUSPECT" not in screen


async def test_a_wide_terminal_has_up_to_five_lines_with_causes_and_the_time_left() -> None:
    suspects = [finding(id, "suspect") for id in (STREAMS, 3, 3, 5)]
    six = Saved(finding(), finding(4, "suspect", known="imputed"), *suspects)
    async with running(six, (200, 60)) as (_, pilot):
        screen = await until_shown(pilot, "+1 more")
        assert screen.count("SUSPECT") == 4
        assert "25,000 live" in screen
        assert "sleeper per event" in screen
        assert "descriptors run out in 20 min" in screen
        assert " ~book.py:9 watch" in screen


async def test_all_is_well_in_one_calm_line() -> None:
    async with running(Saved(finding(STREAMS, "info", evidence={"why": "long-lived"}))) as (_, pilot):
        screen = await until_shown(pilot, "No leak found (watched 4m10s); 1 long-lived site")
        assert " !  " not in screen


async def test_the_calm_line_says_that_a_loop_is_blocked_now() -> None:
    stalls = (
        model.Stall(1, BOOT, each, over, None, (WHERE,)) for each, over in ((830.0, False), (2.0, True))
    )
    async with running(Saved(*(stalled([each], BOOT)[0] for each in stalls))) as (_, pilot):
        said = "No leak found (watched 4m10s); the event loop is blocked, for 14 min now, by spin.py:4 parse"
        screen = await until_shown(pilot, "parse; 1 line blocked the event loop")
        assert said in " ".join(screen.split())


async def test_a_snapshot_of_a_single_look_is_no_all_clear() -> None:
    saved = Saved()
    saved.judged = model.Judged(0.0)
    async with running(saved) as (_, pilot):
        await until_shown(pilot, "Too early to judge: seen in a single look, a verdict takes 18s of watching")


@pytest.mark.parametrize(
    ("why", "said"), [("lost", "1 site with lost tasks"), ("retained", "1 site holding ended tasks")]
)
async def test_the_calm_line_says_what_a_note_is(why: str, said: str) -> None:
    async with running(Saved(finding(STREAMS, "info", evidence={"why": why}))) as (_, pilot):
        await until_shown(pilot, f"No leak found (watched 4m10s); {said}")


@pytest.mark.parametrize(
    ("sites", "said"),
    [((LEAK,), "flat at 1,500: 25.0/s × 60 s each"), ((LEAK, STREAMS), "2 sites stopped growing")],
)
async def test_the_calm_line_says_what_a_plateau_rests_on(sites: tuple[int, ...], said: str) -> None:
    flat = [
        finding(each, "info", text="flat at 1,500: 25.0/s × 60 s each", evidence={"why": "plateau"})
        for each in sites
    ]
    async with running(Saved(*flat)) as (_, pilot):
        await until_shown(pilot, f"No leak found (watched 4m10s); {said}")


async def test_evidence_that_wraps_hangs_below_its_first_word() -> None:
    long = model.Cause("sleeper per event", "each sleeps", ("first " + "word " * 40 + "last",))
    async with running(Saved(finding(cause=long)), (80, 24)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("f")
        lines = (await until_shown(pilot, "word last")).split("\n")
        (first,) = (number for number, line in enumerate(lines) if "· first" in line)
        start = lines[first].index("first")
        assert lines[first + 1][:start].strip() == ""
        assert lines[first + 1][start:].startswith("word")


async def test_a_young_target_is_not_called_healthy() -> None:
    class Still(FakeSource):
        def live_of(self, site: int, seconds: int | None = None) -> int:
            return 1

        def born_of(self, site: int, seconds: int | None = None) -> int:
            return 1

    async with running(Still(start=4)) as (_, pilot):
        await until_shown(pilot, "Too early to judge; verdict in 18s")


async def test_the_list_tells_the_evidence_and_enter_opens_the_site() -> None:
    two = Saved(finding(), finding(STREAMS, "info", text="50 live for up to 250 s, and no more of them"))
    async with running(two, (120, 40)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("f")
        screen = await until_shown(pilot, "Why: one sleeper per event")
        assert "200 of 200 tasks looked into are parked at executor.py:244" in screen
        assert "Keep the times in a deque" in screen
        assert "descriptors grow with it, about 0.5 descriptors per task" in screen
        assert "50 live for up to 250 s" in screen
        await pilot.press("enter")
        screen = await until_shown(pilot, "executor.py:231 record_failure   live 25,000")
        assert "Why: one sleeper per event" in screen
        assert "oldest first" in screen
        await pilot.press("escape", "escape")
        await until_shown(pilot, "creation sites")


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 60)])
async def test_neither_the_place_of_a_hang_nor_what_it_is_is_cut(size: tuple[int, int]) -> None:
    said = "2 tasks have waited for each other for at least 10s"
    at = model.Frame("/app/bank.py", 10, "transfer_between_two_accounts_of_one_bank")
    hang = finding(level="hang", id=0, kind="deadlock", text=said, user_site=at)
    async with running(Saved(hang, finding(STREAMS, "suspect")), size) as (_, pilot):
        screen = await until_shown(pilot, "bank.py:10 transfer_between_two_accounts_of_one_bank")
        assert said in screen


async def test_a_verdict_is_not_promised_for_now() -> None:
    assert found.cause(finding(level="suspect", cause=None, until_told=0.03)) == "verdict in 1.0s"
    store = Store()
    store.findings.take((), model.Judged(model.ENOUGH - 0.03))
    context = Context(FakeSource(), store, time.monotonic)
    assert found.calm(store.findings, context).startswith("Too early to judge; verdict in 1.0s")


async def test_enter_opens_a_hang_with_its_whole_chain_until_the_cursor_is_moved() -> None:
    chain = tuple(f"worker {step} waits for a lock that worker {step + 1} holds" for step in range(30))
    cause = model.Cause("deadlock", "they wait for each other in a circle", chain)
    hang = finding(level="hang", id=0, kind="deadlock", text="30 threads wait for each other", cause=cause)
    async with running(Saved(hang, finding())) as (_, pilot):
        await until_shown(pilot, "HANG")
        await pilot.press("enter")
        await until_shown(pilot, "Why: they wait for each other in a circle")
        await pilot.press("end")
        await until_shown(pilot, "worker 29 waits for a lock that worker 30 holds")
        await pilot.press("escape", "f")
        await until_shown(pilot, "· worker 0 waits")
        await pilot.press("enter", "end")
        await until_shown(pilot, "worker 29 waits for a lock that worker 30 holds")
        await pilot.press("escape", "escape", "down", "up", "enter")
        await until_shown(pilot, "executor.py:231 record_failure   live 25,000")


async def test_the_proof_and_what_holds_the_tasks_have_lines_of_their_own() -> None:
    cause = model.Cause(
        "nobody can set it",
        "nothing can wake them",
        ("no sampled task is awaited",),
        proof="all 2 traced are stuck",
        held="held by Hub.tasks (set of 2)",
    )
    async with running(Saved(finding(cause=cause)), (120, 40)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("f", "enter")
        screen = await until_shown(pilot, "Why: nothing can wake them")
        lines = [line.strip() for line in screen.split("\n")]
        assert any(line.startswith("Proof: all 2 traced are stuck") for line in lines)
        assert any(line.startswith("Held by Hub.tasks (set of 2)") for line in lines)


async def test_a_click_on_the_second_line_of_a_finding_opens_its_site_too() -> None:
    two = Saved(finding(STREAMS), finding(LEAK, "suspect"))
    async with running(two, (100, 40)) as (_, pilot):
        screen = await until_shown(pilot, "SUSPECT")
        await click_line(pilot, screen, "SUSPECT", 30, below=1)
        await until_shown(pilot, "executor.py:231 record_failure   live")


async def test_a_click_on_a_finding_opens_its_site() -> None:
    two = Saved(finding(STREAMS), finding(LEAK, "suspect"))
    async with running(two, (160, 40)) as (_, pilot):
        screen = await until_shown(pilot, "SUSPECT")
        await click_line(pilot, screen, "SUSPECT", 30)
        await until_shown(pilot, "executor.py:231 record_failure   live 25,000")


async def test_a_dismissed_finding_leaves_the_top_and_comes_back(config: Path) -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("d")
        screen = await until_shown(pilot, "1 dismissed")
        assert "LEAK" not in screen
        assert "Dismissed: executor.py:231 record_failure" in screen
    kept = json.loads((config / "taskscope" / "dismissed.json").read_text())
    assert kept == {
        "orders": [
            {"file": "/srv/orders/executor.py", "function": "record_failure", "coroutine": "decay_after"}
        ]
    }
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "1 dismissed")
        await pilot.press("f")
        await until_shown(pilot, "dismissed  executor.py:231")
        await pilot.press("G", "d")
        await until_shown(pilot, "Restored: executor.py:231 record_failure")
        await pilot.press("f")
        await until_shown(pilot, "LEAK")


async def test_another_target_of_the_same_code_keeps_its_finding(config: Path) -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("d")
        await until_shown(pilot, "1 dismissed")
    async with running(FakeSource(start=250, name="orders-2")) as (_, pilot):
        await until_shown(pilot, "LEAK")


@pytest.mark.parametrize("content", ["{", "[]", '{"orders": [1]}'])
async def test_a_damaged_file_is_reported_and_left_alone(config: Path, content: str) -> None:
    path = config / "taskscope" / "dismissed.json"
    path.parent.mkdir()
    path.write_text(content)
    async with running(FakeSource(start=250), (200, 60)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await until_shown(pilot, "is damaged; repair or delete it")
        await pilot.press("d")
        await until_shown(pilot, "Not dismissed")
    assert path.read_text() == content


async def test_nothing_to_dismiss_is_said() -> None:
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("j", "d")
        await until_shown(pilot, "Nothing to dismiss")


async def test_a_target_that_answers_no_questions_is_judged_by_its_counts() -> None:
    class Mute(FakeSource):
        async def facts(self, query: requests.Facts) -> model.SiteFacts:
            raise NotAvailable("not known here")

    async with running(Mute(start=250)) as (_, pilot):
        await until_shown(pilot, "+6,000/min since")


async def test_verdicts_stand_still_while_paused() -> None:
    source = FakeSource(start=250)
    async with running(source) as (app, pilot):
        await until_shown(pilot, "LEAK")
        version = app.context.store.findings.version
        await pilot.press("space")
        source.advance(3)
        await until(pilot, source._queue.empty)
        assert app.context.store.findings.version == version


async def test_a_snapshot_from_the_app_says_what_the_app_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(FakeSource(start=250)) as (_, pilot):
        await until_shown(pilot, "LEAK")
        await pilot.press("w")
        await until_shown(pilot, "Snapshot written")
        (file,) = tmp_path.iterdir()
        (saved,) = [each for each in json.loads(file.read_text())["findings"] if each["level"] == "leak"]
        assert saved["site"]["function"] == "record_failure"
        assert round(saved["rate_per_min"]) == 6000


def test_what_moves_along_and_when_it_ends_are_sentences() -> None:
    assert fmt.moves(finding()) == ["descriptors grow with it, about 0.5 descriptors per task"]
    assert fmt.forecast(RUNS_OUT) == (
        "Descriptors run out in 20 min (between 18 min and never): 212 of 1,024, +40/min."
    )


def test_that_threads_grow_with_threads_goes_without_saying() -> None:
    grows = finding(kind="thread", evidence={"moves": {"threads": {"each": 1.0}, "fds": {"each": 1.003}}})
    assert fmt.moves(grows) == ["descriptors grow with it, about 1 descriptor per thread"]


def test_a_cause_is_shortened_to_the_forms_that_it_has() -> None:
    cause = RACE_LOSER.cause(said("race losers", "a wait (or gather) has ended", "it ended at a: b; c"), ())
    assert found.causes(finding(cause=cause)) == (
        "race losers: a wait (or gather) has ended; it ended at a: b; c",
        "race losers: a wait (or gather) has ended",
        "race losers",
        "race loser",
    )
    called = model.Cause("started again", "start(1; 2): ran at least 4 times (on one X)")
    assert found.causes(finding(cause=called)) == (called.text, "started again")
    assert found.causes(finding(cause=None, level="suspect")) == ()


def test_since_is_a_clock_and_a_date_when_long_ago() -> None:
    store = Store()
    store.apply(dataclasses.replace(FakeSource(start=100_000).sample(full=True), wall=1_790_000_000.0))
    today, before = finding(since=store.now - 60), finding(since=store.now - 90_000)
    assert len(fmt.since(today, store.sample)) == 5
    assert len(fmt.since(before, store.sample)) > 10


def test_of_a_long_place_the_classes_go_first() -> None:
    place = "executor.py:44 DecayingFailures.record_failure"
    assert shortened(place, 50) == place
    assert shortened(place, 31) == "executor.py:44 …record_failure"
    assert shortened(place, 29) == "executor.py:44 record_failure"
    assert shortened(place, 20) == "executor.py:44 reco…"
    assert shortened("x", 0) == "…" or shortened("x", 1) == "x"


def test_the_app_has_no_findings_before_it_has_judged() -> None:
    app = TaskScopeApp(FakeSource())
    assert app.connection is None
    assert found.calm(Store().findings, Context(FakeSource(), Store(), time.monotonic)) == ""


def climb(level: Level, projection: model.Projection | None = None) -> model.Finding:
    return dataclasses.replace(
        finding(level=level),
        kind="growth",
        id=0,
        site=model.Frame("", 0, "memory", "stdlib"),
        user_site=None,
        text="memory grows by 12 MB/min; 640 MB of 2.0 GB",
        cause=model.Cause("growth without tasks", "no task or thread grows with it", ("look at caches",)),
        projection=projection,
    )


@pytest.mark.parametrize("size", SIZES)
async def test_memory_that_grows_without_tasks_takes_the_place_of_no_leak_found(
    size: tuple[int, int],
) -> None:
    async with running(Saved(climb("info")), size) as (_, pilot):
        screen = await until_shown(pilot, "Memory grows by 12 MB/min; 640 MB of 2.0 GB; no task or thread")
        assert "No leak" not in screen
        await pilot.press("f")
        await until_shown(pilot, "look at caches")


@pytest.mark.parametrize("size", SIZES)
async def test_a_limit_that_is_near_is_in_the_header_and_in_the_findings(size: tuple[int, int]) -> None:
    full = model.Projection("rss", 640e6, 2000e6, 400e6, 204.0, 180.0, 230.0)
    async with running(Saved(climb("suspect", full)), size) as (_, pilot):
        await until_shown(pilot, "SUSPECT")
        header = (await until_shown(pilot, ", full in 3 min")).split("\n")[1]
        assert "rss " in header
        assert "tasks 25,0" in header
        assert await until_shown(pilot, "memory runs out in 3 min")


async def test_a_limit_that_is_far_or_only_noted_is_not_in_the_header() -> None:
    far = model.Projection("fds", 212, 1024, 4.0, 12_180.0, 11_000.0, None, (LEAK,))
    async with running(Saved(finding(projection=far), climb("info", RUNS_OUT))) as (_, pilot):
        assert "full in" not in await until_shown(pilot, "descriptors run out in 3.4 h")


class Swelling(FakeSource):
    """No task grows; memory gains 2 MB a second."""

    def sample(self, *, full: bool = False) -> model.Sample:
        plain = super().sample(full=full)
        rss = int(100e6 + (plain.monotonic - BOOT) * 2e6)
        return dataclasses.replace(plain, rss=rss, tasks=model.Counts(0, 0, 0, 0), sites=(), fds=20)

    async def history(self, query: requests.History) -> model.History:
        plain = await super().history(query)
        rss = tuple(int(100e6 + (time - BOOT) * 2e6) for time in plain.times)
        nothing = tuple(0 for _ in plain.times)
        return dataclasses.replace(plain, rss=rss, tasks=nothing, born=nothing, ended=nothing)


async def test_no_leak_is_never_said_beside_memory_that_rises() -> None:
    async with running(Swelling(start=60)) as (app, pilot):
        screen = await until_shown(pilot, "MB/min")
        assert "rss 220 MB ▲ 119 MB/min" in screen
        await until_shown(pilot, "Too early to judge; verdict in 18s; memory rising")
    async with running(Swelling(start=400)) as (app, pilot):
        assert "No leak" not in await until_shown(pilot, "emory grows by 120 MB/min")
        assert app


async def test_tasks_that_are_flat_after_growth_are_said_to_be_in_the_header() -> None:
    flat = finding(LEAK, "info", since=1190.0, text="flat at 25,000: 100.0/s × 250 s each", projection=None)
    flat = dataclasses.replace(flat, evidence={"why": "plateau"})
    async with running(Even(flat)) as (_, pilot):
        await until_shown(pilot, f", flat since {fmt.since(flat, Even(flat).sample())}")


class Even(Saved):
    """Its number of tasks does not change."""

    async def history(self, query: requests.History) -> model.History:
        plain = await super().history(query)
        return dataclasses.replace(plain, tasks=tuple(25_000.0 for _ in plain.times))
