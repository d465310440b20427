"""Atomic writes, and bounded reads of untrusted files."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_whole(path: Path, data: bytes) -> None:
    """Writes ``path`` as `writing` does.  Raises OSError."""
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes ``path`` once it is complete: an existing one stays until then.  Raises OSError.

    A device or a pipe (/dev/null, /dev/stdout) is written to, never replaced; a link stays a link.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:  # Ctrl-C, too
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise


def read_regular(path: str | Path, most: int) -> bytes:
    """The contents of a regular file; empty if it is larger than ``most`` bytes or unreadable.

    The path is untrusted and may be an endless device or a pipe without a writer: only regular files are
    opened.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (opening a device may do something)
            return b""
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return b""
    with os.fdopen(file, "rb") as opened:
        try:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > most:
                return b""
            return opened.read(most + 1)[:most]
        except OSError:
            return b""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
