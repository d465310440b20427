"""Await stacks with counts, for flame graphs: folded lines, and speedscope's format."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from taskscope import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.export.tasks import StackCounts, TaskStream
    from taskscope.model import Frame

NO_STACK = "(no stack: not started, or running)"

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def folded(stream: TaskStream, stacks: StackCounts) -> Iterator[bytes]:
    """A line for each stack, most tasks first: frames from the outermost on, and the number of tasks."""
    lines: dict[str, int] = {}
    for number, count in stacks.counts.items():
        frames = [_label(frame) for frame in reversed(stream.stack(number))] or [NO_STACK]
        line = ";".join(frames)
        lines[line] = lines.get(line, 0) + count
    for line, count in sorted(lines.items(), key=lambda each: -each[1]):
        yield f"{line} {count}\n".encode("utf-8", "replace")


def _label(frame: Frame) -> str:
    """A frame without the separators of the format."""
    return f"{frame.function} ({PurePath(frame.file).name}:{frame.line})".replace(";", ":")


def speedscope(stream: TaskStream, stacks: StackCounts) -> Iterator[bytes]:
    """One profile, in which each stack weighs as many as its tasks."""
    used = sorted(stacks.counts.items(), key=lambda each: -each[1])
    none = len(stream.frames)
    samples = [stream.stacks[number][::-1] if number is not None else [] for number, _ in used]
    weights = [count for _, count in used]
    name = stream.process.name if stream.process is not None else "tasks"
    profile: dict[str, Any] = {
        "type": "sampled",
        "name": f"{name}: live tasks by await stack",
        "unit": "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": [frames or [none] for frames in samples],
        "weights": weights,
    }
    frames: list[dict[str, Any]] = [
        {"name": frame.function, "file": frame.file, "line": frame.line} for frame in stream.frames
    ]
    whole = {
        "$schema": SCHEMA,
        "exporter": f"taskscope {__version__}",
        "name": profile["name"],
        "activeProfileIndex": 0,
        "shared": {"frames": [*frames, {"name": NO_STACK}]},
        "profiles": [profile],
    }
    yield json.dumps(whole, separators=(",", ":")).encode() + b"\n"
