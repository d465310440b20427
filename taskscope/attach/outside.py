"""Why a process is silent, from /proc and its memory, without touching it.

A thread that waits for the GIL is recognisable: it wakes every switch interval (5 ms) to ask again, so its
voluntary context switches grow by about 200 per second while it sleeps in a futex.  Who has the GIL stands in
the interpreter's memory, and how often it has changed hands: a holder that sleeps with it, or works on while
another thread asks, is in C code.  Where this cannot be read, it is the thread that is busy, or blocked.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

from taskscope import cgroups
from taskscope.attach import deadlocks, mutexes, procfs
from taskscope.attach.reading.frames import Interpreter
from taskscope.attach.reading.holding import place
from taskscope.attach.reading.memory import Memory
from taskscope.kernel_calls import NAMES
from taskscope.model.vocabulary import ProcessState  # noqa: TC001  (checked.py reads the types at run time)
from taskscope.values import dataclass

APART = 0.5
"""Least seconds between two looks that are compared."""

MAX_THREADS = 200
"""Threads inspected: three small files each, 40 us."""

_ASKS = 15.0  # least switches per second of a thread that waits for the GIL: 200, or 30 on a busy machine
_BUSY = 0.5  # cores from which a thread counts as busy
_KEEPS = 0.1  # seconds of its own work after which Python would long have given the GIL to another thread
_GIVES_UP = (" in futex", " in epoll_wait", " in epoll_pwait", " in epoll_pwait2")
"""Where a thread that holds the GIL hardly ever waits: locks, event loops."""

THAW = "thaw the group (docker unpause, or 0 into its cgroup.freeze), then attach again"

_THROTTLED = "the limit of its control group (cpu.max) stops it most of the time"

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
class _Gil:
    """``holder``: 0 if nobody has it; ``caller``: its line.  ``switches``: how often it had changed hands.

    ``off``: see `Gil`.
    """

    holder: int
    switches: int
    off: bool
    caller: str


@dataclass(frozen=True, slots=True)
class _Look:
    time: float
    threads: dict[int, _Thread]
    gil: _Gil | None  # None: it cannot be read
    throttled: float


@dataclass(frozen=True, slots=True)
class _Image:
    """The program a process runs: each exec moves the stack."""

    started: int
    stack: int
    name: str


class Outside:
    """Looks at process ``pid`` repeatedly, and compares each look with an earlier one.

    ``interpreter``: its own, if that is being read anyway.
    """

    def __init__(self, pid: int, interpreter: Interpreter | None = None) -> None:
        self.pid = pid
        self._interpreter = interpreter
        self._image = _image(pid)
        self._looks: deque[_Look] = deque(maxlen=2)
        self._ran: dict[int, bool] = {}

    def look(self, agent: int = 0, *, entered: bool = False) -> Condition:
        """Its state now.  The first look says less: there is nothing to compare.

        ``agent``: the thread that starts one, if that was injected; ``entered``: it has had the GIL.
        """
        try:
            return self._gone() or self._halted() or self._at_work(agent, entered)
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return Condition("ended", procfs.end(self.pid))
        except OSError as error:
            return Condition("silent", f"process {self.pid} may not be inspected ({error.strerror})")

    def forget(self) -> None:
        """The next look is compared with none before it: what came between was not the process's doing."""
        self._looks.clear()

    def _gone(self) -> Condition | None:
        image = _image(self.pid)
        if image is None or (self._image is not None and image.started != self._image.started):
            return Condition("ended", procfs.end(self.pid))
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
        if procfs.frozen(self.pid):
            return Condition("frozen", frozen(self.pid))
        return None

    def ran(self, tid: int) -> bool:
        """Whether a thread has run between the last two looks that were compared, or is about to."""
        return self._ran.get(tid, False)

    def _at_work(self, agent: int, entered: bool) -> Condition:
        now = _Look(time.monotonic(), _threads(self.pid), self._gil(), cgroups.throttled(self.pid))
        old = next((each for each in reversed(self._looks) if now.time - each.time >= APART), None)
        if not self._looks or now.time - self._looks[-1].time >= APART:
            self._looks.append(now)
        if old is None:
            return self._judge(now.threads, {}, [], {}, None, "")
        seconds = now.time - old.time
        if now.throttled - old.throttled > seconds / 2:
            return Condition("throttled", f"process {self.pid} gets little CPU time: {_THROTTLED}")
        known = {tid: (old.threads[tid], each) for tid, each in now.threads.items() if tid in old.threads}
        cores = {tid: (new.ticks - past.ticks) / _TICK / seconds for tid, (past, new) in known.items()}
        self._ran = {tid: new.state == "R" or new.ticks > past.ticks for tid, (past, new) in known.items()}
        off = now.gil is not None and now.gil.off
        asking = [
            tid
            for tid, (past, new) in known.items()
            if not off
            and (new.switches - past.switches) / seconds > _ASKS
            and cores[tid] < _BUSY
            and self._place(tid) in ("", " in futex")
        ]
        if agent and not entered:
            asking = [*{*asking, agent}]
        still = {tid: new.state for tid, (past, new) in known.items() if past == new}
        if old.gil is not None and now.gil is not None:
            holder = _keeper(old, now, asking)
        elif set(asking) - {agent if entered else 0}:  # it sleeps between its steps, which looks the same
            constant = [tid for tid, (past, new) in known.items() if past.switches == new.switches]
            holder = self._suspect(cores, constant)
        else:
            holder = None
        caller = now.gil.caller if now.gil is not None else ""
        return self._judge(now.threads, cores, asking, still, holder if holder != agent else None, caller)

    def _gil(self) -> _Gil | None:
        try:
            if self._interpreter is not None:
                return _gil(self._interpreter)
            with Memory(self.pid) as memory:
                interpreter = Interpreter.of(memory)
                return _gil(interpreter) if interpreter is not None else None
        except OSError:
            return None

    def _judge(
        self,
        threads: dict[int, _Thread],
        cores: dict[int, float],
        asking: list[int],
        still: dict[int, str],
        holder: int | None,
        caller: str,
    ) -> Condition:
        """``still``: the states of threads that have neither run nor slept between the looks.

        ``holder``: the thread that does not give the GIL back, ``caller`` what called C code in it.
        """
        stuck = [tid for tid, state in still.items() if state == "D"]
        if stuck:
            where = self._place(stuck[0])
            return Condition(
                "stuck",
                f"process {self.pid} hangs: {self._name(stuck[0])} waits in the kernel{where} "
                "and cannot be interrupted, most likely for a disk or a network file system",
            )
        deadlock = deadlocks.of_gil(self.pid, asking, still) if asking and self.pid in threads else ""
        if deadlock:
            return Condition("held", deadlock, for_good=True)
        if holder is not None and self.pid in threads:
            doing = self._doing(holder, cores)
            return Condition(
                "held", f"process {self.pid} runs no Python: a C call{caller} holds the GIL ({doing})"
            )
        if "R" in still.values():
            return Condition("starved", f"process {self.pid} is ready to run but gets no CPU time")
        busiest = max(cores, key=lambda tid: cores[tid], default=self.pid)
        total = f", {sum(cores.values()):.0%} of a core" if cores else ""
        number = f"{len(threads)} thread{'s' if len(threads) != 1 else ''}"
        return Condition(
            "silent",
            f"process {self.pid} is running ({number}{total}; {self._doing(busiest, cores)}), "
            "but its agent does not answer",
        )

    def _suspect(self, cores: dict[int, float], constant: list[int]) -> int | None:
        """The likely holder of the GIL: the busy thread, else one that has not begun to sleep, the main one
        first.

        None: each waits where Python gives it up, so those that seem to ask sleep briefly by themselves.
        """
        busiest = max(cores, key=lambda tid: cores[tid])
        if cores[busiest] >= _BUSY:
            return busiest
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


def _gil(interpreter: Interpreter) -> _Gil:
    """Raises OSError."""
    gil, pid = interpreter.gil(), interpreter.memory.pid
    if not gil.state:
        return _Gil(0, gil.switches, gil.off, "")
    interpreter.code.look_again()
    stack = interpreter.stack(gil.state)
    caller = f" from {place(stack.frames)}" if stack.frames else ""
    return _Gil(mutexes.outer(pid, stack.native), gil.switches, gil.off, caller)


def _keeper(old: _Look, now: _Look, asking: list[int]) -> int | None:
    """The thread that has had the GIL since the first look and does not give it to those that ask for it."""
    holder = now.gil.holder if now.gil is not None and now.gil == old.gil else 0
    past, new = old.threads.get(holder), now.threads.get(holder)
    if past is None or new is None:
        return None
    asked = any(tid != holder for tid in asking)
    sleeps = past.state in "SD" and new.state in "SD"
    works = new.ticks - past.ticks >= _KEEPS * _TICK
    return holder if (asked and (sleeps or works)) or (sleeps and past == new) else None


def frozen(pid: int) -> str:
    """What is said of a process that is frozen."""
    return f"process {pid} is frozen with its control group"


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
