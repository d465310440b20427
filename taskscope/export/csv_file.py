"""Rows for spreadsheets: one for each live task, or one for each sample of a recording."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.export.tasks import TaskStream
    from taskscope.model import Sample

TASKS = (
    "serial", "name", "coroutine", "state", "age_seconds", "parent", "file", "line", "function",
    "wait", "waits_for", "at_file", "at_line", "at_function",
)  # fmt: skip

SAMPLES = (
    "wall_seconds", "monotonic_seconds", "tasks", "born", "finished", "failed", "cancelled", "lost",
    "threads", "fds", "rss_bytes", "cpu_cores", "loop_latency_seconds",
)  # fmt: skip


def row(values: Iterable[Any]) -> bytes:
    """One row.  Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_cell(value) for value in values])
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        return f"'{value}"
    return round(value, 6) if isinstance(value, float) else value


def of_task(task: dict[str, Any], stream: TaskStream) -> bytes:
    """The row of a task, as stored in a snapshot."""
    site = stream.sites.get(task["site"])
    stack = stream.stack(task.get("stack"))
    own = next((frame for frame in stack if frame.origin == "user"), stack[0] if stack else None)
    parked = task.get("parked") or {}
    birth = task["birth"]
    created = (site.frame.file, site.frame.line, site.frame.function) if site is not None else ("", "", "")
    return row(
        [
            *(task["serial"], task["name"], task["coroutine"], task["state"]),
            None if birth is None else max(0.0, stream.times.monotonic - birth),
            task["parent"] or None,
            *created,
            *(parked.get("wait"), parked.get("text")),
            *((own.file, own.line, own.function) if own is not None else ("", "", "")),
        ]
    )


def of_sample(sample: Sample) -> bytes:
    """The row of a sample."""
    tasks = sample.tasks
    ends = (tasks.finished, tasks.failed, tasks.cancelled, tasks.lost)
    gauges = (sample.threads, sample.fds, sample.rss, sample.cpu, sample.loop_latency)
    return row([sample.wall, sample.monotonic, tasks.live, tasks.born, *ends, *gauges])
