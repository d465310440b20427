"""Snapshots to and from files: one JSON object (``snapshot.schema.json``), gzipped by suffix."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.export.check import check
from taskscope.export.whole import write_whole
from taskscope.model.snapshot import FORMAT, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from taskscope.model import Finding, Judged

MAX_BYTES = 192 << 20
"""Bytes of a snapshot, decompressed: one of 300,000 tasks takes half of that."""

MAX_CONTAINERS, MAX_VALUES = 1_200_000, 8_000_000
"""Lists and objects, and commas, per snapshot: a task has two of the former, twenty of the latter.  An empty
list takes 30 times more memory than its text.
"""


GZIP = b"\x1f\x8b"

PIECE = 1 << 18
"""Bytes read at once."""


class SnapshotError(Exception):
    """Not a snapshot, or it cannot be read or written; the message is for the user."""


def set_verdict(snapshot: dict[str, Any], findings: Sequence[Finding], judged: Judged) -> None:
    """Sets what was found, and how far the judgement had come."""
    snapshot["findings"], snapshot["judged"] = wire.pack(findings), wire.pack(judged)


def text(snapshot: Mapping[str, Any]) -> str:
    """One line of ASCII, so that no byte can mean anything to a terminal."""
    return json.dumps(snapshot, separators=(",", ":"), check_circular=False)


def packed(snapshot: Mapping[str, Any], *, compress: bool) -> bytes:
    """The file's bytes."""
    data = (text(snapshot) + "\n").encode()
    return gzip.compress(data, compresslevel=6) if compress else data


def save(snapshot: Mapping[str, Any], path: str | Path) -> int:
    """Writes ``path`` atomically (gzipped if it ends in ``.gz``); returns its size in bytes.

    Raises SnapshotError.
    """
    path = Path(path)
    data = packed(snapshot, compress=path.suffix == ".gz")
    try:
        write_whole(path, data)
    except OSError as error:
        raise SnapshotError(f"cannot write {path}: {error.strerror or error}") from None
    return len(data)


def load(path: str | Path) -> dict[str, Any]:
    """The snapshot in ``path``, checked.  Raises SnapshotError, within 2 s whatever the file."""
    try:
        data = _unpacked(_read(path), path)
        snapshot = wire.decode(data, MAX_CONTAINERS, MAX_VALUES)
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error.strerror or error}") from None
    except wire.WireError as error:
        raise SnapshotError(f"{path} is not a TaskScope snapshot: {error}") from None
    identify(snapshot, path)
    try:
        return check(snapshot)
    except wire.WireError as error:
        raise SnapshotError(f"{path} is damaged: {error}") from None


def identify(snapshot: Any, path: str | Path) -> None:
    """Raises SnapshotError unless this is a snapshot that can be read, as its first sections say."""
    if not isinstance(snapshot, dict) or snapshot.get("format") != FORMAT:
        raise SnapshotError(f"{path} is not a TaskScope snapshot")
    schema, version = snapshot.get("schema"), snapshot.get("taskscope")
    if type(schema) is int and schema != SCHEMA and 0 < schema < 1000:
        writer = wire.clean_text(version)[:40] if type(version) is str else "unknown"
        raise SnapshotError(
            f"{path} has snapshot schema {schema}, this TaskScope reads {SCHEMA}: "
            f"read it with the version that wrote it ({writer})"
        )


def pieces_of(path: str | Path) -> Iterator[bytes]:
    """The contents, decompressed if gzipped, up to MAX_BYTES, in pieces.

    Raises OSError, SnapshotError.
    """
    _look_at(path)
    with open(path, "rb") as file:  # noqa: PTH123
        zipped = file.read(2) == GZIP
        file.seek(0)
        opened = gzip.GzipFile(fileobj=file) if zipped else file
        left = MAX_BYTES
        try:
            while piece := opened.read(PIECE):
                left -= len(piece)
                if left < 0:
                    raise SnapshotError(f"{path} is larger than any snapshot once decompressed")
                yield piece
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise SnapshotError(f"{path} is damaged: it cannot be decompressed") from None


def _read(path: str | Path) -> bytes:
    """Raises OSError, SnapshotError."""
    _look_at(path)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(MAX_BYTES + 1)


def _look_at(path: str | Path) -> None:
    """Lets only regular files pass: a device or a pipe may be endless.  Raises OSError, SnapshotError."""
    about = os.stat(path)  # noqa: PTH116 (raises ValueError on a null byte)
    if not stat.S_ISREG(about.st_mode):
        raise SnapshotError(f"{path} is not a file")
    if about.st_size > MAX_BYTES:
        raise SnapshotError(f"{path} is larger than any snapshot ({about.st_size >> 20:,} MB)")


def _unpacked(data: bytes, path: str | Path) -> bytes:
    """``data``, decompressed if gzipped, up to MAX_BYTES.  Raises SnapshotError."""
    if data[:2] != GZIP:
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SnapshotError(f"{path} is damaged: it cannot be decompressed") from None
    if len(unpacked) > MAX_BYTES:
        raise SnapshotError(f"{path} is larger than any snapshot once decompressed")
    return unpacked
