"""Leaks that one call starts one each of are most likely one fault, and the second says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, Frame, ParkedGroup, Sample, SiteCounts, SiteFacts
from tests.unit.shapes import hello, site

if TYPE_CHECKING:
    from taskscope.model import Finding


@pytest.mark.parametrize(
    ("function", "every", "one_fault"), [("start", 1, True), ("start", 2, False), ("other", 1, False)]
)
def test_the_second_of_a_pair_names_the_first(function: str, every: int, one_fault: bool) -> None:
    leaks = pair(("start", function), every)
    assert len(leaks) == 2
    assert [", in step with the leak at reader.py:4" in each.text for each in leaks] == [False, one_fault]


def test_tasks_that_wait_for_threads_come_after_these_and_follow_from_them() -> None:
    tasks, threads = pair(("write", "start"), 1), pair(("write", "start"), 1, root=1)
    assert [each.kind for each in tasks] == ["task", "task"]
    assert [(each.kind, each.site.line) for each in threads] == [("thread", 41), ("task", 40)]
    assert threads[1].text.endswith("; follows from the leak at thread reader.py:41 start")
    assert "in step with" not in threads[1].text


def test_leaks_whose_tasks_wait_at_one_line_name_each_other() -> None:
    ask = ParkedGroup("k", Frame("/app/broker.py", 34, "ask"), "future", "a bare Future", 40, 1.0)
    one, other = pair(("write", "halt"), 1, groups=(ask,))
    for each, met in ((one, other), (other, one)):
        assert each.cause is not None
        line = f"the tasks of the leak at reader.py:{met.site.line} {met.site.function}"
        assert each.cause.evidence[0] == f"{line} wait at broker.py:34 ask as well"
    apart, _ = pair(("write", "halt"), 1)
    assert apart.cause is not None
    assert "as well" not in apart.cause.evidence[0]


def pair(
    functions: tuple[str, str], every: int, root: int | None = None, groups: tuple[ParkedGroup, ...] = ()
) -> list[Finding]:
    """What is told of two sites; ``root``: that with the threads for which the tasks of the other wait."""
    lines = [Frame("/app/reader.py", 40 + number, name) for number, name in enumerate(functions)]
    sites = [
        replace(site(number, "thread" if number == root else "task"), frame=line, user_frame=None)
        for number, line in enumerate(lines)
    ]
    setter = lines[root] if root is not None else None
    judge = Judge(hello())
    for now in range(1, 91):
        live = [now, now // every]
        counts = tuple(SiteCounts(each, Counts(live[each], live[each]), 1.0, now / 2) for each in (0, 1))
        rest = (1, 10, 1 << 20, 0.1, 0.001, 0.0, 1 << 20, now == 1, tuple(sites) if now == 1 else ())
        judge.feed(Sample(now, float(now), 1000.0 + now, 1.0, Counts(sum(live)), *rest, counts))
        for asked in judge.questions():
            alive = tuple(min(live[asked.site], int(cut)) for cut in asked.cuts)
            facts = SiteFacts(
                asked.site, float(now), live[asked.site], alive, 40, cuts=asked.cuts, groups=groups
            )
            judge.facts(
                replace(facts, closed=40)
                if asked.site == root
                else replace(facts, cancelling=40, setter=setter)
            )
        findings = judge.findings()
    return [each for each in findings if each.level in ("leak", "suspect")]
