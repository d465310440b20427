"""Forked children: the agent continues there, with its own thread and socket."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

from taskscope.agent.hooks.lasting import calls_of
from taskscope.agent.hooks.parts import insist

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.life import Resident

_FORKED = "_taskscope_forked"


def follow(agent: Resident, part: Part) -> None:
    """Calls ``agent.forked`` in forked children, until ``part`` is undone.

    Where the program started the agent, children that multiprocessing starts anew get one like it.
    """
    part.on_undo(_forget)
    if agent.arrived != "injected":
        name, interval, control = agent.process.name, agent.interval, agent.control
        agent.presence.heirs = {"name": name, "interval": interval, "control": control}
    if hasattr(os, "register_at_fork"):
        calls_of(_FORKED, _register)[:] = [partial(_in_child, ref(agent))]


def _register(call: Callable[[], None]) -> None:
    os.register_at_fork(after_in_child=call)


def _forget() -> None:
    sys.__dict__.get(_FORKED, []).clear()


def _in_child(reference: ref[Resident]) -> None:
    agent = reference()
    if agent is None:
        return
    try:
        agent.forked()
    except Exception as error:  # noqa: BLE001  (an outer edge)
        agent.tell("fork", error)
        insist("fork", agent.tell, agent.server.abandon, agent.thread_ended)
