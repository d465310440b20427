"""Permanent callbacks, written to refer to nothing of ours.

A fork handler cannot be unregistered.  An ``atexit`` handler can, but is found by ``==`` among the program's
own, which runs their code and may remove the wrong one.  So each process gets one of each, however often an
agent comes and goes: it calls the functions in a list kept on ``sys``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Calls = list[Callable[[], object]]

_CODE = "def lasting():\n    for call in calls: call()\n"


def calls_of(name: str, register: Callable[[Callable[[], Any]], object]) -> Calls:
    """The list of functions to call; ``register`` is called once in the life of the process."""
    calls: Calls | None = sys.__dict__.get(name)
    if calls is None:
        calls = []
        scope: dict[str, Any] = {"calls": calls}
        exec(_CODE, scope)  # noqa: S102  (a function whose globals are not this module's)
        register(scope["lasting"])
        sys.__dict__[name] = calls
    return calls
