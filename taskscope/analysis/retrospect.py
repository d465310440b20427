"""Judging a whole state at once: what a snapshot says by the past that it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.analysis.findings import Judge
from taskscope.checked import unpack
from taskscope.model import Hello, History, Process, Sample, Site, SiteHistory

if TYPE_CHECKING:
    from collections.abc import Mapping


def judge_of(snapshot: Mapping[str, Any]) -> Judge:
    """A judge that has seen what ``snapshot`` (JSON values) holds.

    It can be asked for its questions and its findings at once; facts make these better.  Raises WireError
    or KeyError where something is missing.
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
    judge = Judge(hello)
    judge.learn(unpack(Site, each) for each in snapshot["sites"])
    past = [unpack(SiteHistory, each) for each in snapshot["site_history"]]
    judge.past(past, unpack(History, snapshot["history"]), sample)
    judge.feed(sample)
    judge.findings()  # what it then asks about depends on what it has found
    return judge
