"""A folder of files that TaskScope writes by itself: bounded in bytes, and in files an hour.

What counts is what lies there, not what this process remembers: a service that restarts all night, or eight
workers that share the folder, get no more than one that runs through.  Whoever writes holds a lock on the
folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600.0

LOG = "taskscope.log"
MAX_LOG = 256 << 10
"""Bytes of the log after which it is begun anew; the one before is kept."""

_OURS = re.compile(r"taskscope-.+-\d{8}T\d{6}-[a-z]+(-\d+)?(\.json\.gz|\.html|\.rec)")
_UNFINISHED = re.compile(rf"\.{_OURS.pattern}\..*")
_NOT_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class FolderBusyError(Exception):
    """Another process writes there now."""


class Folder:
    """The folder at ``path``, made if needed.  Methods raise OSError."""

    def __init__(self, path: str, most: int, disk: int) -> None:
        self.path = Path(path)
        self._most, self._disk = most, disk
        self._written: list[float] = []

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Nobody else writes meanwhile.  Raises FolderBusyError."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderBusyError from None
            self._clean()
            yield
        finally:
            os.close(folder)

    def _clean(self) -> None:
        """Removes what a killed writer left unfinished: we hold the lock, so nobody is at it."""
        for each in self.path.iterdir():
            if _UNFINISHED.fullmatch(each.name):
                each.unlink(missing_ok=True)

    def is_full(self) -> bool:
        """Whether as many files as allowed were written within the hour."""
        now = time.time()
        self._written = [each for each in self._written if now - each < HOUR]
        found = sum(now - about.st_mtime < HOUR for _, about in self._files())
        return max(found, len(self._written)) >= self._most

    def make_room(self, size: int) -> bool:
        """Removes the oldest files until ``size`` more bytes are within bounds; False if they never are."""
        if size > self._disk:
            return False
        files = sorted(self._files(), key=lambda each: each[1].st_mtime)
        used = sum(about.st_size for _, about in files)
        for path, about in files:
            if used + size <= self._disk:
                break
            path.unlink(missing_ok=True)
            used -= about.st_size
        return True

    def new(self, name: str, pid: int, word: str, suffix: str) -> Path:
        """The path of a file to be written now; it counts from here on."""
        self._written.append(time.time())
        stamp = time.strftime("%Y%m%dT%H%M%S")
        stem = f"taskscope-{_NOT_NAME.sub('-', name)[:32]}-{pid}-{stamp}-{word}"
        path, number = self.path / f"{stem}{suffix}", 1
        while path.exists():
            number += 1
            path = self.path / f"{stem}-{number}{suffix}"
        return path

    def log(self, entry: dict[str, Any]) -> None:
        """Adds a line of JSON in one write, so that none is ever cut."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path / LOG
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **entry}) + "\n"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(file, line.encode())
            size = os.fstat(file).st_size
        finally:
            os.close(file)
        if size > MAX_LOG:
            path.replace(path.with_suffix(".log.1"))

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for each in self.path.iterdir():
            if _OURS.fullmatch(each.name):
                try:
                    yield each, each.stat()
                except FileNotFoundError:
                    continue
