"""Whether the process runs tasks of a kind that is not shown, told by the frames of its threads.

That a package is loaded proves nothing: httpx loads trio where it can.  Its loop is on a thread's stack.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins, stacks
from taskscope.model import RUNNERS

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Unseen

MAX_THREADS = 100
"""Threads looked at, at a time: 1 ms if their stacks are deep."""


def running(known: tuple[Unseen, ...], shown: tuple[Unseen, ...]) -> tuple[Unseen, ...]:
    """Those ``known``, and what else runs now, without those ``shown``.  gevent is seen only when idle."""
    known = tuple(each for each in known if each not in shown)
    sought = [each for each in RUNNERS if each not in (*known, *shown) and each in sys.modules]
    if not sought:
        return known
    every = list(stacks.current_frames().values())[:MAX_THREADS]
    codes = [each.f_code for innermost in every for each in stacks.thread_frames(innermost)]
    every.clear()
    found = [
        each
        for each in sought
        if any(
            origins.name_of(code) in RUNNERS[each][0] and origins.file_of(code).endswith(RUNNERS[each][1])
            for code in codes
        )
    ]
    return (*known, *found)
