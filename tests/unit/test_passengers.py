"""Leaks that one call starts one each of are most likely one fault, and the second says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskscope.analysis.judge import Judge
from taskscope.model import Counts, Frame, Sample, SiteCounts, SiteFacts
from tests.unit.shapes import hello, site


@pytest.mark.parametrize(
    ("function", "every", "one_fault"), [("start", 1, True), ("start", 2, False), ("other", 1, False)]
)
def test_the_second_of_a_pair_names_the_first(function: str, every: int, one_fault: bool) -> None:
    sites = [
        replace(site(number), frame=Frame("/app/reader.py", 40 + number, name), user_frame=None)
        for number, name in enumerate(("start", function))
    ]
    judge = Judge(hello())
    for now in range(1, 91):
        live = [now, now // every]
        counts = tuple(SiteCounts(each, Counts(live[each], live[each]), 1.0, now / 2) for each in (0, 1))
        rest = (1, 10, 1 << 20, 0.1, 0.001, 0.0, 1 << 20, now == 1, tuple(sites) if now == 1 else ())
        judge.feed(Sample(now, float(now), 1000.0 + now, 1.0, Counts(sum(live)), *rest, counts))
        for asked in judge.questions():
            alive = tuple(min(live[asked.site], int(cut)) for cut in asked.cuts)
            facts = SiteFacts(asked.site, float(now), live[asked.site], alive, 40, cuts=asked.cuts)
            judge.facts(replace(facts, cancelling=40))
        findings = judge.findings()
    leaks = [each for each in findings if each.level in ("leak", "suspect")]
    assert len(leaks) == 2
    assert [", in step with the leak at reader.py:4" in each.text for each in leaks] == [False, one_fault]
