"""Sites that keep one task at most cost the judge next to nothing, and grow like others once they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.analysis.judge import Judge
from taskscope.analysis.questions import IDLE_QUESTIONS
from tests.unit.shapes import Lives, churn, hello, samples, steady

if TYPE_CHECKING:
    import pytest

    from taskscope.model import Finding


def watch(judge: Judge, sites: list[Lives], seconds: float) -> tuple[Finding, ...]:
    found: tuple[Finding, ...] = ()
    for sample in samples(sites, 0.0, seconds):
        judge.feed(sample)
        for asked in judge.questions():
            judge.facts(sites[asked.site].facts(asked.site, judge.now, asked.cuts))
        found = judge.findings()
    return found


def test_what_keeps_one_task_at_most_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    measure = growth.measure

    def counted(bins, now):  # type: ignore[no-untyped-def]
        measured.append(now)
        return measure(bins, now)

    one_after_another = [Lives([(t, t + 0.9) for t in range(1, 100)]) for _ in range(50)]
    judge = Judge(hello())
    judge.resources.climbs = lambda *_: ()  # type: ignore[method-assign]
    monkeypatch.setattr(growth, "measure", counted)
    assert watch(judge, one_after_another, 90) == ()
    assert measured == []
    watch(judge, [Lives(churn(5, 3, 200))], 90)
    assert measured


def test_a_leak_after_a_long_calm_is_found_as_early_and_since_when_it_began() -> None:
    calm = [(float(t), t + 0.4) for t in range(1, 600)]
    grows = steady(1, 800, start=600)
    (finding,) = watch(Judge(hello()), [Lives([*calm, *grows])], 700)
    assert finding.level == "leak"
    assert 50 < finding.rate_per_min < 70
    assert 590 <= finding.since <= 615


def test_of_many_sites_without_a_sign_of_a_leak_few_are_asked_about_at_a_time() -> None:
    short = [(float(t), t + 0.4) for t in range(1, 100)]
    old = [Lives([(0.0, 1e9), (0.0, 1e9), *short]) for _ in range(30)]
    grows = Lives(steady(1, 800, start=30))
    judge = Judge(hello())
    asked_at_once: list[int] = []
    asked: set[int] = set()
    growing = len(old)
    for sample in samples([*old, grows], 0.0, 90):
        judge.feed(sample)
        questions = [each.site for each in judge.questions()]
        asked.update(questions)
        asked_at_once.append(len([each for each in questions if each != growing]))
        for site in questions:
            judge.facts([*old, grows][site].facts(site, judge.now, ()))
        judge.findings()
    assert max(asked_at_once) == IDLE_QUESTIONS
    assert asked == {*range(len(old)), growing}


def test_it_is_too_early_while_a_site_has_made_one_step_that_may_be_the_first_of_many() -> None:
    steps = Lives([(0.0, 1e9)] * 100 + [(25.0, 1e9)] * 60)
    judge = Judge(hello())
    early = {}
    for sample in samples([steps], 0.0, 60):
        judge.feed(sample)
        judge.findings()
        early[round(sample.monotonic)] = (judge.judged.early, judge.judged.growing)
    assert (early[5], early[22]) == ((True, 0), (False, 0))
    assert early[32] == (True, 1)
    assert early[58] == (False, 0)
