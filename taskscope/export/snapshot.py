"""Snapshots to and from files: one JSON object (``snapshot.schema.json``), gzipped by suffix."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.export.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT, SCHEMA = "taskscope-snapshot", 1


class SnapshotError(Exception):
    """Not a snapshot, or it cannot be read or written, in a sentence for the user."""


def text(snapshot: Mapping[str, Any]) -> str:
    """One line of ASCII: no byte of it can mean anything to a terminal."""
    return json.dumps(snapshot, separators=(",", ":"), check_circular=False)


def save(snapshot: Mapping[str, Any], path: str | Path) -> int:
    """Writes ``path`` (gzipped if it ends in ``.gz``) whole or not at all; returns its size in bytes.

    Raises SnapshotError.  A file that was there before stays until the new one is complete.
    """
    path = Path(path)
    data = (text(snapshot) + "\n").encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=6)
    try:
        write_whole(path, data)
    except OSError as error:
        raise SnapshotError(f"cannot write {path}: {error.strerror or error}") from None
    return len(data)


def load(path: str | Path) -> dict[str, Any]:
    """The snapshot in ``path``.  Raises SnapshotError."""
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        snapshot = json.loads(data)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SnapshotError(f"{path} is damaged: it cannot be unpacked") from None
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise SnapshotError(f"{path} is not a TaskScope snapshot: it is not JSON") from None
    if not isinstance(snapshot, dict) or snapshot.get("format") != FORMAT:
        raise SnapshotError(f"{path} is not a TaskScope snapshot")
    if snapshot.get("schema") != SCHEMA:
        raise SnapshotError(
            f"{path} has snapshot schema {snapshot.get('schema')!r}, this TaskScope reads {SCHEMA}: "
            f"read it with the version that wrote it ({snapshot.get('taskscope', 'unknown')})"
        )
    return snapshot
