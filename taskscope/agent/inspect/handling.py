"""The error that a suspended task is handling: of long-lived tasks nobody else ever learns of it.

The interpreter keeps it with the coroutine that stands inside the ``except``, where the garbage collector
sees it, as the last of what the coroutine refers to (3.11 to 3.15).
"""

from __future__ import annotations

import gc

from taskscope.agent.inspect import task_facts
from taskscope.agent.inspect.looking import is_a


def handled(task: object) -> Exception | None:
    """The innermost error that a task handles while it is suspended; None: none, or it is being cancelled."""
    for coro in reversed(task_facts.coroutines(task)):
        last = gc.get_referents(coro)[-1:]
        if last and is_a(last[0], Exception):
            return last[0]
    return None
