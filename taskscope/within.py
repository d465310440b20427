"""The whole state of this very process, findings included: behind ``taskscope.snapshot``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.agent.walk import run
from taskscope.analysis.retrospect import judge_of

if TYPE_CHECKING:
    from taskscope.agent import Agent


def snapshot(agent: Agent) -> dict[str, Any]:
    """As ``taskscope snapshot`` gives it for another process."""
    state = agent.snapshot()
    judge = judge_of(state)
    for question in judge.questions():
        judge.facts(run(agent.facts.facts(*question)))
    state["findings"] = wire.pack(judge.findings())
    return state
