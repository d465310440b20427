"""Why a process is silent, from /proc alone, without touching it.

A thread that waits for the GIL is recognisable: it wakes every switch interval (5 ms) to ask again, so its
voluntary context switches grow by about 200 per second while it sleeps in a futex.  The holder of the GIL is
then busy, or blocked in a system call inside C code.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from taskscope.attach import deadlocks, procfs
from taskscope.kernel_calls import NAMES
from taskscope.model.vocabulary import ProcessState  # noqa: TC001  (checked.py reads the types at run time)

APART = 0.5
"""Least seconds between two looks that are compared."""

MAX_THREADS = 200
"""Threads inspected: three small files each, 40 us."""

_ASKS = 15.0  # least switches per second of a thread that waits for the GIL: 200, or 30 on a busy machine
_BUSY = 0.5  # cores from which a thread counts as busy
_GIVES_UP = (" in futex", " in epoll_wait", " in epoll_pwait", " in epoll_pwait2")
"""Where a thread that holds the GIL hardly ever waits: locks, event loops."""

_EXITING = 0x4
"""The kernel's flag of a process that is ending."""

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Condition:
    """Why a process may be silent: ``text`` is a sentence without a full stop, remedy included.

    ``for_good``: it never runs Python again.
    """

    state: ProcessState
    text: str
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class _Thread:
    state: str
    ticks: int
    switches: int


@dataclass(frozen=True, slots=True)
class _Image:
    """The program a process runs: each exec moves the stack."""

    started: int
    stack: int
    name: str


class Outside:
    """Looks at process ``pid`` repeatedly, and compares each look with an earlier one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._image = _image(pid)
        self._looks: deque[tuple[float, dict[int, _Thread]]] = deque(maxlen=2)

    def look(self) -> Condition:
        """Its state now.  The first look says less: there is nothing to compare."""
        try:
            return self._gone() or self._halted() or self._at_work()
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return Condition("ended", f"process {self.pid} has ended")
        except OSError as error:
            return Condition("silent", f"process {self.pid} may not be inspected ({error.strerror})")

    def _gone(self) -> Condition | None:
        image = _image(self.pid)
        if image is None or (self._image is not None and image.started != self._image.started):
            return Condition("ended", f"process {self.pid} has ended")
        self._image = self._image or image
        if image.stack != self._image.stack:
            return Condition("replaced", f"process {self.pid} now runs another program ({image.name})")
        return None

    def _halted(self) -> Condition | None:
        status = procfs.status(self.pid)
        state = status["State"][0]
        if state == "T":
            return Condition("stopped", f"process {self.pid} is stopped (kill -CONT {self.pid})")
        if state == "t":
            tracer = status.get("TracerPid", "0")
            return Condition("traced", f"process {self.pid} is stopped by a debugger, process {tracer}")
        return None

    def _at_work(self) -> Condition:
        now, threads = time.monotonic(), _threads(self.pid)
        seconds, old = next(
            ((now - then, seen) for then, seen in reversed(self._looks) if now - then >= APART), (0.0, {})
        )
        if not self._looks or now - self._looks[-1][0] >= APART:
            self._looks.append((now, threads))
        known = {tid: (old[tid], each) for tid, each in threads.items() if tid in old} if seconds else {}
        cores = {tid: (new.ticks - past.ticks) / _TICK / seconds for tid, (past, new) in known.items()}
        asking = [
            tid
            for tid, (past, new) in known.items()
            if (new.switches - past.switches) / seconds > _ASKS
            and cores[tid] < _BUSY
            and self._place(tid) in ("", " in futex")
        ]
        still = {tid: new.state for tid, (past, new) in known.items() if past == new}
        constant = [tid for tid, (past, new) in known.items() if past.switches == new.switches]
        return self._judge(threads, cores, asking, still, constant)

    def _judge(
        self,
        threads: dict[int, _Thread],
        cores: dict[int, float],
        asking: list[int],
        still: dict[int, str],
        constant: list[int],
    ) -> Condition:
        """``still``: the states of threads that have neither run nor slept between the looks.

        ``constant``: threads that have not begun to sleep; they ran, or slept all the time.
        """
        stuck = [tid for tid, state in still.items() if state == "D"]
        if stuck:
            where = self._place(stuck[0])
            return Condition(
                "stuck",
                f"process {self.pid} hangs: {self._name(stuck[0])} waits in the kernel{where} "
                "and cannot be interrupted, most likely for a disk or a network file system",
            )
        busiest = max(cores, key=lambda tid: cores[tid], default=self.pid)
        if asking and self.pid in threads:
            deadlock = deadlocks.of_gil(self.pid, asking, still)
            if deadlock:
                return Condition("held", deadlock, for_good=True)
            holder = busiest if cores[busiest] >= _BUSY else self._suspect(constant)
            if holder is not None:
                doing = self._doing(holder, cores)
                text = f"process {self.pid} runs no Python: a C call holds the GIL ({doing})"
                return Condition("held", text)
        if "R" in still.values():
            return Condition("starved", f"process {self.pid} is ready to run but gets no CPU time")
        total = f", {sum(cores.values()):.0%} of a core" if cores else ""
        number = f"{len(threads)} thread{'s' if len(threads) != 1 else ''}"
        return Condition(
            "silent",
            f"process {self.pid} is running ({number}{total}; {self._doing(busiest, cores)}), "
            "but its agent does not answer",
        )

    def _suspect(self, constant: list[int]) -> int | None:
        """The likely holder of the GIL if no thread is busy: the main thread first.

        None: each waits where Python gives it up, so those that seem to ask sleep briefly by themselves.
        """
        others = (tid for tid in (self.pid, *constant) if tid in constant)
        return next((tid for tid in others if self._place(tid) not in _GIVES_UP), None)

    def _name(self, tid: int) -> str:
        return "its main thread" if tid == self.pid else f"its thread {tid}"

    def _doing(self, tid: int, cores: dict[int, float]) -> str:
        used = cores.get(tid, 0.0)
        if used >= _BUSY:
            return f"{self._name(tid)} uses {used:.0%} of a core"
        return f"{self._name(tid)} waits{self._place(tid)}" if self._place(tid) else f"{self._name(tid)} runs"

    def _place(self, tid: int) -> str:
        """`` in NAME``: the system call (or kernel function) a thread waits in; empty if unknown."""
        name = ""
        try:
            call = procfs.blocked_in(self.pid, tid)
            if call is not None:
                name = NAMES.get(call[0], "")
            if call is not None and name in ("", "restart_syscall"):
                name = Path(f"/proc/{self.pid}/task/{tid}/wchan").read_text()
        except OSError:
            pass
        return f" in {name}" if name and name != "0" else ""


def _image(pid: int) -> _Image | None:
    """None: the process has ended."""
    try:
        name, fields = _stat(f"/proc/{pid}/stat")
    except (OSError, ValueError):
        return None
    ends = fields[0] in "ZX" or int(fields[6]) & _EXITING  # it gives its stack back before it is a zombie
    return None if ends else _Image(int(fields[19]), int(fields[25]), name)


def _threads(pid: int) -> dict[int, _Thread]:
    found = {}
    for tid in procfs.threads(pid)[:MAX_THREADS]:
        folder = f"/proc/{pid}/task/{tid}"
        try:
            _, fields = _stat(f"{folder}/stat")
            text = Path(f"{folder}/status").read_text(errors="replace")
        except OSError:
            continue  # it has just ended
        switches = text.partition("\nvoluntary_ctxt_switches:")[2].split(None, 1)
        found[tid] = _Thread(
            fields[0], int(fields[11]) + int(fields[12]), int(switches[0]) if switches else 0
        )
    return found


def _stat(path: str) -> tuple[str, list[str]]:
    """The name in a stat file, and the fields after it.  The kernel does not escape control characters."""
    data = Path(path).read_bytes()
    end = data.rindex(b")")
    name = data[data.index(b"(") + 1 : end].decode("ascii", "replace")
    return "".join(each if each.isprintable() else "?" for each in name), data[end + 2 :].decode().split()
