"""Writes a snapshot of what the app shows into the current directory."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.export import snapshot
from taskscope.model import requests

if TYPE_CHECKING:
    from taskscope.model import Process
    from taskscope.tui.context import Context


async def save(context: Context) -> None:
    """Says where it is, or why there is none."""
    context.status("Taking a snapshot …")
    state = await context.ask(context.source.ask(requests.Snapshot()))
    hello = context.store.hello
    if state is None or hello is None:
        return
    found = context.store.findings
    if found.progress is not None:  # save what the screen shows, not what one look finds
        snapshot.set_verdict(state, found.every, found.progress)
    path = file_name(hello.process, "json")
    try:
        size = await asyncio.to_thread(snapshot.save, state, path)
    except snapshot.SnapshotError as problem:
        context.error(f"No snapshot: {problem}.")
        return
    context.status(f"Snapshot written: {path} ({fmt.bytes(size)}).")


def file_name(process: Process, suffix: str) -> str:
    """``taskscope-NAME-PID-DATE.SUFFIX``; the target's name cannot lead into another directory."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", process.name).strip("-")[:40] or "python"
    return f"taskscope-{name}-{process.pid}-{time.strftime('%Y%m%d-%H%M%S')}.{suffix}"
