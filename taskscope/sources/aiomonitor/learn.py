"""What one task's page reveals about its whole site: functions, full paths, the user's line."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.export.whole import read_regular
from taskscope.model.plumbing import starts_for_others

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model.vocabulary import Wait
    from taskscope.sources.aiomonitor import api

MAX_SOURCE = 4 << 20
"""Bytes read of a source file."""

_WAITS: dict[tuple[str, str], tuple[Wait, str]] = {
    ("tasks.py", "sleep"): ("sleep", "asleep"),
    ("tasks.py", "wait"): ("gather", "waiting for several tasks"),
    ("queues.py", "get"): ("queue.get", "waiting for an item from a queue"),
    ("queues.py", "put"): ("queue.put", "waiting for space in a queue"),
    ("queues.py", "join"): ("event", "waiting for a queue to be processed"),
    ("locks.py", "acquire"): ("lock", "waiting for a lock or semaphore"),
    ("locks.py", "wait"): ("event", "waiting for an event, condition or barrier"),
    ("streams.py", "_wait_for_data"): ("socket", "waiting for data from a stream"),
    ("streams.py", "_drain_helper"): ("socket", "waiting for a stream to drain"),
}
"""By asyncio file and function in which a task is suspended."""


def learned(site: model.Site, trace: api.Trace) -> model.Site:
    """``site`` improved by the page of one of its tasks."""
    if site.known == "unknown":
        return _where_defined(site, trace.stack)
    frames = trace.creations[0] if trace.creations else ()
    start = next((at for at, frame in enumerate(frames) if frame.line == site.frame.line), None)
    if start is None or not _same_file(site.frame.file, frames[start].file):
        return site
    frames = frames[start:]
    user = model.user_line(frames)
    place = next((frame for frame in frames if not starts_for_others(frame.file, frame.origin)), frames[0])
    if place is frames[0]:
        return dataclasses.replace(site, frame=place, user_frame=user)
    # The reported location is asyncio's own line (gather, say), which many callers share: this is one.
    return dataclasses.replace(
        site, frame=place, user_frame=user, known="imputed", candidates=(place,), via=frames[0]
    )


def _same_file(reported: str, whole: str) -> bool:
    """Whether a reported location (``<cwd>/app.py``) may be the file of that path."""
    head, _, rest = reported.partition(">/")
    return whole == reported or (head.startswith("<") and whole.endswith(f"/{rest}"))


@functools.lru_cache(maxsize=64)
def source_lines(file: str) -> tuple[str, ...]:
    """The lines of a regular file on this machine; none of anything else."""
    if not file.startswith("/"):
        return ()
    return tuple(read_regular(file, MAX_SOURCE).decode(errors="replace").splitlines())


def _where_defined(site: model.Site, stack: Sequence[model.Frame]) -> model.Site:
    """An unobserved site stands for its coroutine; the outermost frame shows which file defines it."""
    if not stack:
        return site
    frame = stack[-1]
    define = re.compile(rf"\s*async\s+def\s+{re.escape(frame.function)}\b")
    lines = source_lines(frame.file)
    first = next((at for at in range(min(frame.line, len(lines)), 0, -1) if define.match(lines[at - 1])), 0)
    frame = dataclasses.replace(frame, line=first or frame.line, function=site.coroutine)
    return dataclasses.replace(site, frame=frame, user_frame=frame if frame.origin == "user" else None)


def parked(stack: Sequence[model.Frame]) -> model.Parked | None:
    """Where a task is suspended; what it waits on is judged by the innermost function alone."""
    if not stack:
        return None
    frame = stack[0]
    key = (frame.file.rpartition("/")[2], frame.function)
    known = _WAITS.get(key) if "/asyncio/" in frame.file else None
    wait, text = known or ("unknown", f"suspended in {frame.function}")
    return model.Parked(model.library_line(stack) or frame, model.user_line(stack), wait, text)
