"""Reads a recording: its members by time, and their lines up to the last whole one, in bounded memory."""

from __future__ import annotations

import os
import stat
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.export.recording import RecordingError
from taskscope.model.recording import (
    FORMAT,
    HEADER_BYTES,
    MAX_LINE,
    MAX_MEMBER,
    SCHEMA,
    SIGNATURE,
    times_in,
)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MEMBERS = 500_000
"""Members of a file: a year by the minute."""

_CHUNK = 1 << 20
_STEP = 1 << 18
LATEST = 1e11
"""Times in a header are below: seconds since the epoch, or of a clock that started later."""


@dataclass(frozen=True, slots=True)
class Member:
    """A part of the file.  ``at``: seconds since the epoch when it begins; never before an earlier member."""

    offset: int
    end: int
    at: float
    monotonic: float


Line = tuple[str, Any]
"""A kind and its JSON value, cleaned."""


class RecordingFile:
    """The recording at ``path``.  Raises RecordingError, within 2 s whatever the file."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            raise RecordingError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
        try:
            self.members = self._members()
            self._check()
        except OSError as error:
            self.close()
            raise RecordingError(f"cannot read {path}: {error.strerror or error}") from None
        except BaseException:
            self.close()
            raise
        self.times = [each.at for each in self.members]

    def close(self) -> None:
        """Closes the file; idempotent."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def member_at(self, time: float) -> int:
        """The number of the member that ``time`` lies in."""
        return max(0, bisect_right(self.times, time) - 1)

    def lines(self, number: int) -> Iterator[Line]:
        """The lines of a member, up to its end or the damage."""
        for text in self.raw_lines(number):
            try:
                value = wire.decode(text)
            except wire.WireError:
                return
            if not isinstance(value, dict) or len(value) != 1:
                return
            yield next(iter(value.items()))

    def raw_lines(self, number: int) -> Iterator[bytes]:
        """The same as bytes."""
        rest = b""
        for data in self._unpacked(self.members[number]):
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
            if len(rest) > MAX_LINE:
                return

    def _unpacked(self, member: Member) -> Iterator[bytes]:
        """A member's contents in pieces, up to the damage."""
        inflate, at, size = zlib.decompressobj(-15), member.offset + HEADER_BYTES, 0
        while at < member.end and not inflate.eof:
            data = os.pread(self._file, min(_STEP, member.end - at), at)
            at += len(data)
            while data and not inflate.eof and size <= MAX_MEMBER:
                before = inflate.copy()
                try:
                    piece = inflate.decompress(data, _CHUNK)
                except zlib.error:
                    yield from _up_to_the_damage(before, data)
                    return
                size += len(piece)
                yield piece
                data = inflate.unconsumed_tail
            if data or size > MAX_MEMBER:
                return

    def _members(self) -> list[Member]:
        about = os.fstat(self._file)
        if not stat.S_ISREG(about.st_mode):
            raise RecordingError(f"{self.path} is not a file")
        if not is_recording(os.pread(self._file, len(SIGNATURE), 0)):
            raise RecordingError(f"{self.path} is not a TaskScope recording")
        heads = list(self._heads(about.st_size))
        if not heads:
            raise RecordingError(f"{self.path} holds no whole line yet")
        ends = [offset for offset, _, _ in heads[1:]] + [about.st_size]
        found: list[Member] = []
        for (offset, wall, monotonic), end in zip(heads, ends, strict=True):
            found.append(Member(offset, end, max(wall, found[-1].at if found else wall), monotonic))
        return found

    def _heads(self, size: int) -> Iterator[tuple[int, float, float]]:
        at, number = 0, 0
        while at < size:
            data = os.pread(self._file, _CHUNK + HEADER_BYTES, at)
            found = data.find(SIGNATURE)
            while 0 <= found < _CHUNK and number < MAX_MEMBERS:
                if found + HEADER_BYTES <= len(data):
                    wall, monotonic = times_in(data[found : found + HEADER_BYTES])
                    if 0 <= wall < LATEST and 0 <= monotonic < LATEST:
                        number += 1
                        yield at + found, wall, monotonic
                found = data.find(SIGNATURE, found + 1)
            at += _CHUNK

    def _check(self) -> None:
        """Ensures that the first line of some member is a start of this format."""
        for number in range(min(len(self.members), 3)):
            for kind, value in self.lines(number):
                if kind == "start" and isinstance(value, dict) and value.get("format") == FORMAT:
                    self._check_schema(value.get("schema"), value.get("taskscope"))
                    return
                break
        if len(self.members) == 1:
            raise RecordingError(f"{self.path} holds no whole line yet")
        raise RecordingError(f"{self.path} is damaged: it cannot be decompressed")

    def _check_schema(self, schema: Any, version: Any) -> None:
        if schema != SCHEMA:
            who = version if type(version) is str else "unknown"
            raise RecordingError(
                f"{self.path} is a recording of another version, this TaskScope reads {SCHEMA}: "
                f"read it with the version that wrote it ({who})"
            )


def _up_to_the_damage(inflate: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What ``data`` yields before it raises: a call that raises yields nothing."""
    for step in (4096, 64, 1):
        while data:
            before = inflate.copy()
            try:
                piece = inflate.decompress(data[:step], _CHUNK)
            except zlib.error:
                inflate = before
                break
            data = inflate.unconsumed_tail + data[step:]
            yield piece


def is_recording(data: bytes) -> bool:
    """Whether a file that begins so is a recording."""
    return data.startswith(SIGNATURE)
