"""Forked children: the agent comes along, with a thread and a socket of its own."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

from taskscope.agent.hooks.parts import insist

if TYPE_CHECKING:
    from taskscope.agent.agent import Agent

_FORKED = "_taskscope_forked"
_HANDLER = "def in_child():\n    for call in calls: call()\n"


def follow(agent: Agent) -> None:
    """Has ``agent.forked`` called in forked children, until ``forget``.

    Python has no way to take a fork handler back.  So a process gets one in its life, however often an
    agent comes and goes: it calls what is in a list kept on ``sys``, and refers to nothing else of ours.
    """
    if not hasattr(os, "register_at_fork"):
        return
    calls = sys.__dict__.get(_FORKED)
    if calls is None:
        calls = sys.__dict__[_FORKED] = []
        scope = {"calls": calls}
        exec(_HANDLER, scope)  # noqa: S102  (a function whose globals are not this module's)
        os.register_at_fork(after_in_child=scope["in_child"])  # type: ignore[arg-type]
    calls[:] = [partial(_in_child, ref(agent))]


def forget() -> None:
    sys.__dict__.get(_FORKED, []).clear()


def _in_child(reference: ref[Agent]) -> None:
    agent = reference()
    if agent is None:
        return
    try:
        agent.forked()
    except Exception as error:  # noqa: BLE001  (an outer edge)
        agent.tell("fork", error)
        insist("fork", agent.tell, agent.server.abandon, agent.thread_ended)
