"""What the operating system reports about this process: descriptors, memory, CPU, threads.

From ``/proc`` if there is one, else psutil if the program's environment has it, else unknown.
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.counts import limits
from taskscope.agent.counts.descriptors import Held, opened
from taskscope.agent.inspect import origins, unseen
from taskscope.agent.inspect.walk import run
from taskscope.interpreter import is_free_threaded
from taskscope.system import clock, system
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Unseen

_PAGE = system.sysconf("SC_PAGE_SIZE")
_TICK = system.sysconf("SC_CLK_TCK")
_SLOW_LISTING = 0.002
"""Seconds.  A slower listing of descriptors is repeated less often."""


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu`` is seconds since the process started; None: unknown."""

    rss: int | None
    cpu: float | None
    threads: int | None
    fds: int | None


class Meter:
    """Reads usage once per tick.  Its file stays open, so it still works when no file can be opened."""

    def __init__(self) -> None:
        self._fds: int | None = None
        self._next_listing = 0.0
        self._stat: Held | None = None
        self._pid = 0
        self._psutil: Any = None if system.exists("/proc/self/stat") else _psutil()

    def read(self) -> Usage:
        if self._psutil is not None:
            with self._psutil.oneshot():
                times = self._psutil.cpu_times()
                cpu = times.user + times.system
                return Usage(
                    self._psutil.memory_info().rss, cpu, self._psutil.num_threads(), self._psutil.num_fds()
                )
        try:
            fields = self._read_stat().rpartition(b")")[2].split()
        except OSError:
            return Usage(None, clock.process_time(), None, self._descriptors())
        cpu = (int(fields[11]) + int(fields[12])) / _TICK
        return Usage(int(fields[21]) * _PAGE, cpu, int(fields[17]), self._descriptors())

    def close(self) -> None:
        """Closes the file."""
        if self._stat is not None:
            self._stat.close()
            self._stat = None

    def _read_stat(self) -> bytes:
        """This process's stat: a file inherited by a forked child describes its parent."""
        if self._stat is None or self._pid != system.getpid() or not self._stat.ours:
            self.close()
            self._stat, self._pid = opened("/proc/self/stat"), system.getpid()
        return system.pread(self._stat.number, 4096, 0)

    def _descriptors(self) -> int | None:
        """Open descriptors.  Linux 6.2 and later report the number; before, they must be listed."""
        try:
            size = system.stat("/proc/self/fd").st_size
            if size:
                return size
            begin = clock.monotonic()
            if begin >= self._next_listing:
                self._fds = len(system.listdir("/proc/self/fd")) - 1
                took = clock.monotonic() - begin
                self._next_listing = begin + (1000 * took if took > _SLOW_LISTING else 0)
        except OSError as error:
            return limits.fd_limit() if error.errno == errno.EMFILE else None
        return self._fds


def _psutil() -> Any:
    try:
        import psutil

        return psutil.Process()
    except Exception:  # noqa: BLE001  (the program's package: none, a broken one, or one that needs /proc)
        return None


class Described:
    """This process, as it was last looked at: its limits and what runs in it can change.

    Looked at when it is first asked for: that takes 2 ms, which a child has no time for while it is forked.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: model.Process | None = None
        self._next_limits = clock.monotonic() + limits.EVERY

    @property
    def process(self) -> model.Process:
        if self._process is None:
            self._process = describe(self.name)
        return self._process

    def with_changes(self, sample: model.Sample, shown: tuple[Unseen, ...]) -> Job[model.Sample]:
        """Adds the process to a sample, if it has changed since the last one.  ``shown``: what is seen."""
        before = self.process
        if sample.monotonic >= self._next_limits:
            self._next_limits = sample.monotonic + limits.EVERY
            self._process = yield from limits.with_limits(self.process)
        runs = unseen.running(self.process.unseen, shown)
        if runs != self.process.unseen:
            self._process = replace(self.process, unseen=runs)
        return sample if self.process == before else replace(sample, process=self.process)


def describe(name: str) -> model.Process:
    """This process, as it is now."""
    process = model.Process(
        pid=system.getpid(),
        name=name,
        python=".".join(map(str, sys.version_info[:3])) + _suffix(),
        implementation=sys.implementation.name,
        executable=sys.executable or "",
        argv=tuple(str(arg) for arg in getattr(sys, "orig_argv", sys.argv)),
        host=system.uname().nodename,
        user=_user(),
        cwd=_cwd(),
        started_wall=_started(),
    )
    return run(limits.with_limits(process))


def default_name() -> str:
    """A short name for the program: the script, the module, or ``python``."""
    argv0 = sys.argv[0] if sys.argv else ""
    base = os.path.basename(argv0)  # noqa: PTH119
    if base == "__main__.py":
        base = os.path.basename(os.path.dirname(origins.absolute(argv0)))  # noqa: PTH119, PTH120
    return base.removesuffix(".py") if base not in ("", "-c", "-m", "-") else "python"


def _suffix() -> str:
    level = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(sys.version_info.releaselevel, "")
    release = f"{level}{sys.version_info.serial}" if level else ""
    return f"{release}t" if is_free_threaded() else release


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(system.getuid()).pw_name
    except (ImportError, KeyError, AttributeError):
        return str(system.getuid())


def _cwd() -> str:
    try:
        return system.getcwd()
    except OSError:
        return ""


def _started() -> float:
    return clock.wall() - _age()


def born() -> float:
    """A monotonic time at which this process certainly existed, within 30 ms of its start or fork."""
    return clock.monotonic() - _age() + 0.02


def thread_born(native_id: int) -> float | None:
    """When the kernel started a thread of this process (monotonic, within 10 ms); None: unknown."""
    age = _age_of(f"/proc/self/task/{native_id}/stat") if native_id else None
    return clock.monotonic() - age if age is not None else None


def _age() -> float:
    """Seconds since the process was started or forked, within 10 ms; 0: unknown."""
    return _age_of("/proc/self/stat") or 0.0


def _age_of(stat: str) -> float | None:
    try:
        ticks = int(system.contents(stat).rpartition(b")")[2].split()[19])
        up = float(system.contents("/proc/uptime").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return max(0.0, up - ticks / _TICK)
