"""The state of this process, findings included, for ``taskscope.snapshot``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.agent.inspect.walk import run
from taskscope.analysis.retrospect import judge_of
from taskscope.model import requests

if TYPE_CHECKING:
    from taskscope.agent.agent import Agent


def snapshot(agent: Agent) -> dict[str, Any]:
    """The same document as ``taskscope snapshot`` writes for another process."""
    state = agent.snapshot()
    judge = judge_of(state)
    judge.looks(run(agent.facts.looks(requests.Looks(judge.suspected()))))
    for question in judge.questions():
        judge.facts(run(agent.facts.facts(question)))
    judge.note(agent.watch.stalls(), agent.thread_view.all())
    state["findings"] = wire.pack(judge.findings())
    return state
