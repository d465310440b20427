"""Atomic writes, and bounded reads of untrusted files."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
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

    Until then it has no name, where the file system can do that: a writer that is killed leaves nothing.  A
    device or a pipe (/dev/null, /dev/stdout) is written to, never replaced; a link stays a link.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        number = nameless(path.parent)
        with temporary.open("xb") if number is None else os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if number is not None:
                give_name(number, temporary)
        temporary.replace(path)
    except BaseException:  # Ctrl-C, too
        temporary.unlink(missing_ok=True)
        raise


def check_writable(path: Path) -> None:
    """Raises the OSError that `writing` would now fail with."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not path.exists() or path.is_file():
        TemporaryFile(dir=Path(os.path.realpath(path)).parent).close()


def nameless(folder: Path) -> int | None:
    """The descriptor of a file in ``folder`` that has no name yet; None where there is no such thing."""
    if not Path("/proc/self/fd").exists():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def give_name(file: int, path: Path) -> None:
    """Names a file of `nameless`.  Raises OSError."""
    # With a descriptor given, os.link calls linkat, which follows.
    os.link(f"/proc/self/fd/{file}", path, src_dir_fd=file, follow_symlinks=True)


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
