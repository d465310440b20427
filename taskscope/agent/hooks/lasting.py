"""Calls that Python lets nobody take back, made to refer to nothing of ours.

A fork handler can not be taken back at all.  One of ``atexit`` can, but is looked for with ``==`` among
the program's own: that runs their code, and removes one that is equal to anything.  So a process gets one
of each in its life, however often an agent comes and goes: it calls what is in a list kept on ``sys``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Calls = list[Callable[[], object]]

_CODE = "def lasting():\n    for call in calls: call()\n"


def calls_of(name: str, register: Callable[[Callable[[], Any]], object]) -> Calls:
    """The list of what is called; ``register`` is used once in the life of the process."""
    calls: Calls | None = sys.__dict__.get(name)
    if calls is None:
        calls = []
        scope: dict[str, Any] = {"calls": calls}
        exec(_CODE, scope)  # noqa: S102  (a function whose globals are not this module's)
        register(scope["lasting"])
        sys.__dict__[name] = calls
    return calls
