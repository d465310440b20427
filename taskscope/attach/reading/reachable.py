"""Which memory of a process can be read without waiting for a program.

A page of a file that is not in memory is fetched by its file system.  Some of these are programs (FUSE),
which anybody may start; while one does not answer, whoever waits for a page can be neither interrupted nor
killed.  So of such files only those pages are read that the process has in memory.
"""

from __future__ import annotations

import os
import re
import struct
import time
from bisect import bisect_right
from pathlib import Path

from taskscope.attach import procfs

_MAPPING = re.compile(r"^(\w{1,16})-(\w{1,16}) \S+ \w+ (\w+:\w+)", re.MULTILINE)

AGE = 0.1
"""Seconds for which one look is as good as the next: the kernel writes the list in 6 µs a line."""

_LAST = 1 << 63
"""Addresses end here: what the kernel lists beyond is its own."""

_PRESENT = 3 << 62
"""Of what is told of a page: it is in memory, or swapped."""


class Reachable:
    """What is mapped in process ``pid``, as it was last looked at.

    ``limits``: where memory begins, ends, begins again, and so on, without files of programs.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._text = ""
        self._at = float("-inf")
        self._of_programs: list[int] = []
        self.limits: list[int] = []

    def look_again(self, age: float = AGE) -> None:
        """How it is now, or was so many seconds ago at most; nothing if the process has ended."""
        now = time.monotonic()
        if now - self._at < age:
            return
        self._at = now
        try:
            text = procfs.maps_text(self._pid)
        except OSError:
            text = ""
        if text == self._text:
            return
        found = _MAPPING.findall(text)
        programs = _programs(self._pid, {device for _, _, device in found})
        self._text, self.limits, self._of_programs = text, [], []
        for begin, end, device in found:
            _add(self._of_programs if device in programs else self.limits, int(begin, 16), int(end, 16))

    def present(self, address: int, size: int) -> int:
        """How many of the bytes at an address are in memory, in a file of a program."""
        at = bisect_right(self._of_programs, address)
        if not at & 1:
            return 0
        size = min(size, self._of_programs[at] - address)
        first, last = address // procfs.PAGE, (address + size - 1) // procfs.PAGE
        try:
            with Path(f"/proc/{self._pid}/pagemap").open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), 8 * (last - first + 1), 8 * first)
        except OSError:
            return 0
        there = first
        for (page,) in struct.iter_unpack("<Q", data):
            if not page & _PRESENT:
                break
            there += 1
        return min(size, max(0, there * procfs.PAGE - address))


def _add(limits: list[int], begin: int, end: int) -> None:
    if end >= _LAST:
        return
    if limits and limits[-1] == begin:
        limits[-1] = end
    else:
        limits += begin, end


def _programs(pid: int, devices: set[str]) -> set[str]:
    """The file systems that may be programs: all but disks, and those that are mounted as something else."""
    unnamed = {each for each in devices if each.startswith("00:") and each != "00:00"}
    known = procfs.file_systems(pid) | procfs.file_systems(os.getpid()) if unnamed else {}
    return {each for each in unnamed if known.get(each, "fuse").startswith("fuse")}
