"""The state of this process, findings included, for ``taskscope.snapshot``.

It asks what a `Pump` asks for a fresh snapshot, without awaiting: the caller may be inside a running loop,
where no second one can run, and a loop in a thread of ours would be part of what is observed.  It does not
look at who waits for whom: that takes two looks, and the caller itself runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.agent.agent import Agent
from taskscope.agent.answers import stalls
from taskscope.agent.inspect.walk import run
from taskscope.analysis.patterns.overload import CROWDED
from taskscope.analysis.retrospect import ARRIVING, judge_of
from taskscope.export.snapshot import set_verdict
from taskscope.model import requests

if TYPE_CHECKING:
    from taskscope.agent.life import Resident
    from taskscope.analysis.judge import Judge


def snapshot(agent: Resident) -> dict[str, Any]:
    """The same document as ``taskscope snapshot`` writes for another process."""
    state = agent.snapshot()
    judge = judge_of(state)
    if isinstance(agent, Agent):
        _ask(agent, judge, state)
    set_verdict(state, judge.findings(), judge.judged)
    return state


def _ask(agent: Agent, judge: Judge, state: dict[str, Any]) -> None:
    judge.looks(run(agent.facts.looks(requests.Looks(judge.suspected()))))
    for _ in range(ARRIVING):
        questions = judge.questions()
        for question in questions:
            judge.facts(run(agent.facts.facts(question)))
        if not questions:
            break
    slow = (state["sample"]["loop_latency"] or 0.0) >= CROWDED
    loops = run(agent.loops()) if slow else ()
    judge.note(run(stalls.read(agent.watch)), run(agent.thread_view.all()), loops)
