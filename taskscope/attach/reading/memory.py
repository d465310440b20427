"""Another process's memory, read in bounded pieces and never written.

The process goes on meanwhile, and may have written anything: whatever does not fit raises MovedError.
"""

from __future__ import annotations

import os
import struct
import time
from bisect import bisect_right
from pathlib import Path
from typing import Self

from taskscope.attach.reading.reachable import Reachable

MOST_TEXT, MOST_DATA = 4096, 1 << 20
"""Characters of a text, bytes of other data."""

LONGEST = 20.0
"""Seconds of CPU that a look takes at most: twice what 300,000 tasks do."""

MOST_AGAIN = 10
"""Times that a look asks what the process has mapped meanwhile."""

_UNASKED, _EACH = 1 << 20, 1 << 10
"""Bytes that are read before the clock is asked again, and how many of them each read counts for at least."""


class MovedError(OSError):
    """What was there is gone, or never was what it seemed to be."""


class AbsentError(MovedError):
    """Python has ended in the process, which goes on, or has not started there: the message says which."""


class Memory:
    """The memory of process ``pid``.  Raises OSError if it may not be read.

    A look at it begins now; once its time is over, or it is closed, every read raises MovedError.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = Path(f"/proc/{pid}/mem").open("rb", buffering=0)  # noqa: SIM115 (closed by `close`)
        self._number = self._file.fileno()
        self._closed = False
        self._reachable = Reachable(pid)
        self.look_again()

    def look_again(self, seconds: float = LONGEST) -> None:
        """Another look begins, for so many seconds of this thread's CPU: a busy machine hides nothing."""
        self._until = time.thread_time() + seconds
        self._unasked = 0
        self._reachable.look_again()
        self._begin = self._end = 0
        self._again = MOST_AGAIN

    @property
    def is_over(self) -> bool:
        """Whether the look has to end."""
        return self._closed or time.thread_time() > self._until

    def go_on(self) -> None:
        """Raises MovedError if the look has to end."""
        if self.is_over:
            raise MovedError("there is no more time to read it")
        self._unasked = _UNASKED

    def read(self, address: int, size: int) -> bytes:
        """Exactly ``size`` bytes.  Raises MovedError."""
        return self.read_most(address, size, size)

    def read_most(self, address: int, size: int, least: int) -> bytes:
        """``size`` bytes, or fewer if the next page is not mapped, but ``least``.  Raises MovedError."""
        if not 0 <= size <= MOST_DATA:
            raise MovedError("it is too large")
        if not self._begin <= address <= self._end - size:
            limits = self._reachable.limits
            at = bisect_right(limits, address)
            if at & 1 and address + size <= limits[at]:
                self._begin, self._end = limits[at - 1], limits[at]
            else:
                size = self._reach(address, size, least)
        self._unasked -= size + _EACH
        if self._unasked < 0:
            self.go_on()
        try:
            data = os.pread(self._number, size, address)
        except OSError:
            raise MovedError("nothing is mapped there") from None
        if len(data) < least:
            raise MovedError("it ends too early")
        return data

    def _reach(self, address: int, size: int, least: int) -> int:
        """How many of the bytes can be read.  Raises MovedError."""
        found = self._found(address, size)
        if found < max(least, 1) and self._again:
            self._again -= 1
            self._reachable.look_again(age=0)
            found = self._found(address, size)
        if found < max(least, 1):
            raise MovedError("nothing is there that can be read")
        return found

    def _found(self, address: int, size: int) -> int:
        limits = self._reachable.limits
        at = bisect_right(limits, address)
        return min(size, limits[at] - address) if at & 1 else self._reachable.present(address, size)

    def read_if_there(self, address: int, size: int) -> bytes:
        """``size`` bytes; none if they cannot be read."""
        try:
            return self.read(address, size)
        except MovedError:
            return b""

    def pointer(self, address: int) -> int:
        """Eight bytes as a number."""
        found: int = struct.unpack("<Q", self.read(address, 8))[0]
        return found

    def number(self, address: int) -> int:
        """Four bytes as a number with a sign."""
        found: int = struct.unpack("<i", self.read(address, 4))[0]
        return found

    def c_string(self, address: int, most: int = 128) -> str:
        """A text that ends with a zero, of ``most`` bytes at most."""
        data = self.read_most(address, most, 1)
        return data.partition(b"\0")[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Ends a look that goes on in another thread, too."""
        self._closed = True
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
