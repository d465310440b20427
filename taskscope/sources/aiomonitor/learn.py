"""What one task's page tells about all tasks of its site: functions, whole paths, the user's line."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.export.whole import read_regular
from taskscope.sources.aiomonitor import api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model.vocabulary import Wait

MAX_SOURCE = 4 << 20
"""Bytes of a source file that are read."""

_WAITS: dict[tuple[str, str], tuple[Wait, str]] = {
    ("tasks.py", "sleep"): ("sleep", "asleep"),
    ("tasks.py", "wait"): ("gather", "waiting for several tasks"),
    ("queues.py", "get"): ("queue.get", "waiting for an item of a queue"),
    ("queues.py", "put"): ("queue.put", "waiting for room in a queue"),
    ("queues.py", "join"): ("event", "waiting for a queue to be worked off"),
    ("locks.py", "acquire"): ("lock", "waiting for a lock or semaphore"),
    ("locks.py", "wait"): ("event", "waiting for an event, condition or barrier"),
    ("streams.py", "_wait_for_data"): ("socket", "waiting for data from a stream"),
    ("streams.py", "_drain_helper"): ("socket", "waiting for a stream to be written out"),
}
"""By file and function of asyncio in which a task is suspended."""


def learned(site: model.Site, trace: api.Trace) -> model.Site:
    """``site`` with what the page of one of its tasks tells."""
    if site.known == "unknown":
        return _where_defined(site, trace.stack)
    frames = trace.creations[0] if trace.creations else ()
    start = next((at for at, frame in enumerate(frames) if frame.line == site.frame.line), None)
    if start is None or not _same_file(site.frame.file, frames[start].file):
        return site
    frames = frames[start:]
    user = next((frame for frame in frames if frame.origin == "user"), None)
    place = next((frame for frame in frames if not api.is_plumbing(frame)), frames[0])
    if place is frames[0]:
        return dataclasses.replace(site, frame=place, user_frame=user)
    # The place told is asyncio's own line (gather, say), which many lines share: this is one of them.
    return dataclasses.replace(
        site, frame=place, user_frame=user, known="imputed", candidates=(place,), via=frames[0]
    )


def _same_file(told: str, whole: str) -> bool:
    """Whether a place as told (``<cwd>/app.py``) may be the file of that path."""
    head, _, rest = told.partition(">/")
    return whole == told or (head.startswith("<") and whole.endswith(f"/{rest}"))


@functools.lru_cache(maxsize=64)
def source_lines(file: str) -> tuple[str, ...]:
    """Of a regular file on this machine; none of any other."""
    if not file.startswith("/"):
        return ()
    return tuple(read_regular(file, MAX_SOURCE).decode(errors="replace").splitlines())


def _where_defined(site: model.Site, stack: Sequence[model.Frame]) -> model.Site:
    """A site that nobody saw stands for the coroutine: its outermost frame says which file that is in."""
    if not stack:
        return site
    frame = stack[-1]
    define = re.compile(rf"\s*async\s+def\s+{re.escape(frame.function)}\b")
    lines = source_lines(frame.file)
    first = next((at for at in range(min(frame.line, len(lines)), 0, -1) if define.match(lines[at - 1])), 0)
    frame = dataclasses.replace(frame, line=first or frame.line, function=site.coroutine)
    return dataclasses.replace(site, frame=frame, user_frame=frame if frame.origin == "user" else None)


def parked(stack: Sequence[model.Frame]) -> model.Parked | None:
    """Where a task is suspended; what it waits on only as far as the innermost function tells."""
    if not stack:
        return None
    frame = stack[0]
    key = (frame.file.rpartition("/")[2], frame.function)
    known = _WAITS.get(key) if "/asyncio/" in frame.file else None
    wait, text = known or ("unknown", f"suspended in {frame.function}")
    user = next((each for each in stack if each.origin == "user"), None)
    return model.Parked(frame, user, wait, text)
