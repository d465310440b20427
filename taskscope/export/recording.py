"""Writes a recording: append-only, and readable up to the last whole line whenever the writer is killed.

Lines that belong together are compressed up to a byte boundary (a sync flush) and written at once, so a cut
loses what the last write had not finished.  `mended` closes the member that a killed writer left open.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.export.whole import give_name, nameless
from taskscope.model.recording import HEADER_BYTES, MAX_MEMBER, SIGNATURE, header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model.recording import Kind

_SYNC = b"\0\0\xff\xff"
"""Where a sync flush ends."""

_END = b"\x03\0"
"""The last block of a stream, empty, from a byte boundary on."""

_CHUNK = 1 << 20


class RecordingError(Exception):
    """Not a recording, or it cannot be read or written; the message is for the user."""


def line(kind: Kind, value: Any) -> bytes:
    """A line of ASCII, so that no byte can mean anything to a terminal."""
    text = json.dumps({kind: _brief(value)}, separators=(",", ":"), check_circular=False)
    return text.encode() + b"\n"


def _brief(value: Any) -> Any:
    """JSON values with times to the millisecond: the digits beyond would be half of the file."""
    if type(value) is float:
        return round(value, 3) if abs(value) >= 10 else round(value, 6)
    if type(value) in (list, tuple):
        return [_brief(each) for each in value]
    if type(value) is dict:
        return {key: _brief(each) for key, each in value.items()}
    return value


class RecordingWriter:
    """The recording at ``path``, which is made, or continued if it is one.  Raises RecordingError.

    ``late``: a new one, which gets its name with its first lines.
    """

    def __init__(self, path: str | Path, *, late: bool = False) -> None:
        self.path = path
        self.written = 0
        """Bytes written by us."""
        self.begun = 0
        """Bytes of the member so far, before compression."""
        self._deflate: zlib._Compress | None = None
        self._crc = 0
        without_name = nameless(Path(path).parent) if late else None
        self._is_nameless = without_name is not None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o666) if without_name is None else without_name
        except OSError as error:
            raise RecordingError(f"cannot write {path}: {error.strerror or error}") from None
        try:
            self._claim()
            self.continued = mended(self._file, path) > 0
            os.lseek(self._file, 0, os.SEEK_END)
        except BaseException:
            os.close(self._file)
            raise

    def _claim(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise RecordingError(f"cannot write {self.path}: it is not a file")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RecordingError(f"{self.path} is being written by another recorder") from None

    def begin(self, wall: float, monotonic: float, lines: Iterable[bytes]) -> None:
        """Begins a member with these lines, after ending the last one.  Raises RecordingError."""
        ending = self._ending()
        self._deflate, self._crc, self.begun = zlib.compressobj(6, zlib.DEFLATED, -15), 0, 0
        self._write(ending + header(wall, monotonic) + self._packed(lines))
        if self._is_nameless:
            self._is_nameless = False
            try:
                give_name(self._file, Path(self.path))
            except OSError as error:
                raise self._cannot(error) from None

    def add(self, lines: Iterable[bytes]) -> None:
        """Adds lines to the member.  Raises RecordingError."""
        self._write(self._packed(lines))

    def close(self) -> None:
        """Ends the member and closes the file, which goes if nothing was written; idempotent.

        Raises RecordingError.
        """
        if self._file >= 0:
            try:
                self._write(self._ending())
                os.fsync(self._file)
                if not (self.written or self.continued or self._is_nameless):
                    Path(self.path).unlink(missing_ok=True)
            except OSError as error:
                raise self._cannot(error) from None
            finally:
                os.close(self._file)
                self._file, self._deflate = -1, None

    def _packed(self, lines: Iterable[bytes]) -> bytes:
        data, deflate = b"".join(lines), self._deflate
        assert deflate is not None
        self._crc = zlib.crc32(data, self._crc)
        self.begun += len(data)
        return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)

    def _ending(self) -> bytes:
        return b"" if self._deflate is None else self._deflate.flush() + _trailer(self._crc, self.begun)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self._deflate = None  # what was written of it has no end
            raise self._cannot(error) from None
        self.written += len(data)

    def _cannot(self, error: OSError) -> RecordingError:
        return RecordingError(f"cannot write {self.path}: {error.strerror or error}")


def mended(file: int, path: str | Path) -> int:
    """Closes the last member of a recording whose writer was killed; returns the size of the file.

    What lies behind its last whole line is cut off.  Raises RecordingError if it is no recording.
    """
    size = os.fstat(file).st_size
    if size == 0:
        return 0
    begin = os.pread(file, len(SIGNATURE), 0)
    if not SIGNATURE.startswith(begin):
        raise RecordingError(f"{path} exists and is not a TaskScope recording")
    at = _last_member(file, size)
    data = os.pread(file, min(size - at, MAX_MEMBER), at)
    kept = _closed(data)
    end = at + len(kept)
    if kept != data or end != size:
        os.pwrite(file, kept, at)
        os.ftruncate(file, end)
    return end


def _last_member(file: int, size: int) -> int:
    at = max(0, size - _CHUNK)
    while True:
        data = os.pread(file, _CHUNK + HEADER_BYTES, at)
        found = data.rfind(SIGNATURE)
        if found >= 0 or at == 0:
            return at + max(0, found)
        at = max(0, at - _CHUNK)


def _closed(data: bytes) -> bytes:
    """A member up to its last whole line, with an end; empty if it has no whole line."""
    whole = zlib.decompressobj(31)
    try:
        whole.decompress(data, MAX_MEMBER)
    except zlib.error:
        pass
    else:
        if whole.eof:
            return data[: len(data) - len(whole.unused_data)]
    at = len(data)
    while (at := data.rfind(_SYNC, HEADER_BYTES, at)) >= 0:
        closed = _closed_at(data[: at + len(_SYNC)])
        if closed:
            return closed
    return b""


def _closed_at(data: bytes) -> bytes:
    """``data`` with an end, if whole lines end there; else nothing."""
    inflate = zlib.decompressobj(-15)
    try:
        lines = inflate.decompress(data[HEADER_BYTES:] + _END, MAX_MEMBER)
    except zlib.error:
        return b""
    if not (inflate.eof and lines.endswith(b"\n")):
        return b""
    return data + _END + _trailer(zlib.crc32(lines), len(lines))


def _trailer(crc: int, size: int) -> bytes:
    return struct.pack("<II", crc, size & 0xFFFFFFFF)
