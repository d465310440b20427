"""Judges a snapshot at once, by the history it carries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.analysis.judge import Judge
from taskscope.checked import unpack
from taskscope.model import Hello, History, Process, Sample, Site, SiteHistory

if TYPE_CHECKING:
    from collections.abc import Mapping

ARRIVING = 3
"""Rounds of questions on arrival, so that the first verdict is as good as later ones."""


def whole_sample(snapshot: Mapping[str, Any]) -> tuple[Hello, Sample]:
    """The hello and first full sample that ``snapshot`` (JSON values) stands for.

    Raises WireError or KeyError if something is missing.
    """
    sample = unpack(Sample, snapshot["sample"])
    agent = snapshot["agent"]
    hello = Hello(
        protocol=wire.PROTOCOL,
        taskscope=snapshot["taskscope"],
        process=unpack(Process, snapshot["process"]),
        interval=agent["interval"],
        control=False,
        agent_since=agent["since"],
        monotonic=sample.monotonic,
        wall=sample.wall,
    )
    sites = tuple(unpack(Site, each) for each in snapshot["sites"])
    return hello, replace(sample, full=True, new_sites=sites)


def judge_of(snapshot: Mapping[str, Any]) -> Judge:
    """A judge fed with the past and present counts in ``snapshot``.  Raises as ``whole_sample``."""
    hello, sample = whole_sample(snapshot)
    judge = Judge(hello)
    past = [unpack(SiteHistory, each) for each in snapshot["site_history"]]
    judge.past(past, unpack(History, snapshot["history"]), sample)
    judge.feed(sample)
    judge.findings()  # its questions depend on its findings
    return judge
