"""The source around a frame: from the local file if that is the target's, else from the target."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.syntax import Syntax
from rich.text import Text

from taskscope.model import requests
from taskscope.sources.base import SourceError
from taskscope.values import dataclass
from taskscope.wire import clean_text

if TYPE_CHECKING:
    from taskscope.model import Frame
    from taskscope.tui.context import Context

AROUND = 40
"""Lines read before and after the frame's: more than half of a tall terminal."""

_LARGEST = 4 << 20  # bytes of a local file; the agent truncates larger ones
_KEPT = 128


@dataclass(frozen=True, slots=True)
class SourceText:
    """``lines`` start at number ``first``; if there are none, ``note`` says why."""

    first: int
    lines: tuple[str, ...]
    note: str = ""

    def around(self, line: int, height: int) -> range:
        """Numbers of ``height`` lines, with ``line`` in their upper half."""
        start = max(self.first, line - height // 2)
        end = min(self.first + len(self.lines), start + height)
        return range(max(self.first, end - height), end)


class SourceReader:
    """Reads and caches source."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[tuple[str, int], SourceText] = {}

    def known(self, frame: Frame) -> SourceText | None:
        """The cached answer of ``read``, if any."""
        return self._known.get((frame.file, frame.line))

    async def read(self, frame: Frame) -> SourceText:
        """The source around ``frame``; never raises: the answer says why there is none."""
        key = (frame.file, frame.line)
        if key not in self._known:
            here = not self._context.elsewhere  # a file of that name here would be another one
            found = await asyncio.to_thread(_local, frame, self._started) if here else None
            if len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found or await self._asked(frame)
        return self._known[key]

    @property
    def _started(self) -> float:
        hello = self._context.store.hello
        return hello.process.started_wall if hello else 0.0

    async def _asked(self, frame: Frame) -> SourceText:
        try:
            source = await self._context.source.ask(requests.Source(frame.file, frame.line, AROUND))
        except SourceError as problem:
            return SourceText(0, (), f"no source: {problem}")
        if not source.first <= frame.line < source.first + len(source.lines):
            return SourceText(0, (), f"no source: {frame.file} has no line {frame.line} in the target either")
        return SourceText(source.first, tuple(_harmless(line) for line in source.lines))


def _local(frame: Frame, started: float) -> SourceText | None:
    """The source from this machine's file; None if it is not the right file.  Blocks on the disk."""
    path = Path(frame.file)
    try:
        if not path.is_absolute() or not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        changed = bool(started) and path.stat().st_mtime > started
    except OSError:
        return None
    if frame.line > len(lines):
        return None
    first = max(1, frame.line - AROUND)
    shown = tuple(_harmless(line) for line in lines[first - 1 : frame.line + AROUND])
    return SourceText(
        first, shown, "changed since the target started: line numbers may be off" if changed else ""
    )


def _harmless(line: str) -> str:
    return clean_text(line.rstrip("\r\n").expandtabs(4))


@lru_cache(maxsize=32)
def highlighted(lines: tuple[str, ...], *, dark: bool) -> tuple[Text, ...]:
    """``lines`` with Python highlighting; costs about 20 µs per line, once."""
    syntax = Syntax("", "python", theme="ansi_dark" if dark else "ansi_light", background_color="default")
    text = syntax.highlight("\n".join(lines))
    shown = text.split("\n", allow_blank=True)
    if len(shown) < len(lines):
        return tuple(Text(line) for line in lines)
    return tuple(shown[: len(lines)])
