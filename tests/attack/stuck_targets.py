"""Processes in which no Python code runs: what is said, after how long, and what is left behind there.

``python -m tests.attack.stuck_targets [WORD…]`` prints the table; ``test_stuck_targets.py`` holds it to that.
Targets and clients are real processes; the clients run until they have said why, and are interrupted then.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.attach import attempt, mutexes, procfs
from taskscope.attach.presence import agent_in
from taskscope.attach.reading import kernel_threads
from taskscope.attach.reading.frames import Interpreter
from taskscope.attach.reading.memory import Memory
from tests import pythons, targets
from tests.patience import settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.targets import Program

PAUSES = """
import ctypes, os, signal
signal.signal(signal.SIGUSR1, lambda *_: None)
def heartbeat():
    ctypes.PyDLL(None).pause()
os.write(1, b"ready %d\\n" % os.getpid())
heartbeat()
signal.pause()
"""

COMPUTES = """
import os, re, signal, threading, time
def beat():
    while True: time.sleep(0.01)
def heartbeat():
    try: re.fullmatch("(a+)+b", "a" * 60)
    except KeyboardInterrupt: pass
os.write(1, b"ready %d\\n" % os.getpid())
threading.Thread(target=beat, daemon=True).start()
heartbeat()
signal.pause()
"""

CIRCLE = """
import ctypes, os, threading, time
mutex = ctypes.create_string_buffer(64)
with_gil, without_gil = ctypes.PyDLL(None), ctypes.CDLL(None)
def poll():
    while True:
        without_gil.pthread_mutex_lock(mutex)
        time.sleep(0.02)
        without_gil.pthread_mutex_unlock(mutex)
def beat():
    while True:
        with_gil.pthread_mutex_lock(mutex)
        with_gil.pthread_mutex_unlock(mutex)
        time.sleep(0.003)
os.write(1, b"ready %d\\n" % os.getpid())
threading.Thread(target=poll, daemon=True).start()
threading.Thread(target=beat, daemon=True).start()
time.sleep(3600)
"""

SPAWNS = """
import os, signal
os.mkfifo("pipe")
def launch():
    os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 3, "pipe", os.O_RDONLY, 0)])
os.write(1, b"ready %d\\n" % os.getpid())
launch()
signal.pause()
"""
"""Its child shares its memory until it runs another program, and waits for a pipe before that: until then the
kernel does not let the process go on, or be stopped."""


@dataclass(frozen=True, slots=True)
class Case:
    """``begin`` brings a process of ``program`` into it, or waits for it; ``end`` out of it, if that works.

    ``said``: a pattern in what our commands say.
    """

    name: str
    program: str
    said: str
    begin: Callable[[Program, Path], object]
    end: Callable[[Program, Path], object] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The sentence, after so many ``seconds``; empty if there was none."""

    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each command said; what of ours is ``left`` in the process, and ``later``, once it goes on."""

    said: dict[str, Said]
    left: str
    later: str


COMMANDS = {
    "snapshot": ("snapshot",),
    "watch": ("watch", "--for", "30s"),
    "doctor": ("doctor",),
    "watch --read-only": ("watch", "--read-only", "--for", "30s"),
}
PATIENCE = 20.0


def outcome(case: Case, folder: Path) -> Outcome:
    """Runs one case, in ``folder``."""
    with targets.running(pythons.require(pythons.NEWEST), case.program, cwd=folder) as program:
        case.begin(program, folder)
        before = _traces(program)
        said = {name: _run(words, program.pid, case.said) for name, words in COMMANDS.items()}
        left = _left(program, before)
        later = "–"
        if case.end is not None:
            case.end(program, folder)
            time.sleep(1.0)  # an attempt that waited would start now
            later = _left(program, before)
        return Outcome(said, left, later)


def _run(words: tuple[str, ...], pid: int, pattern: str) -> Said:
    """Runs one of our commands until it has said why, and interrupts it."""
    begun = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as heard,
        subprocess.Popen(
            [sys.executable, "-m", "taskscope", words[0], str(pid), *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=heard,
            stderr=heard,
        ) as child,
    ):
        try:
            while time.monotonic() - begun < PATIENCE:
                over = child.poll() is not None
                lines = os.pread(heard.fileno(), 1 << 16, 0).decode().splitlines()
                found = next((each for each in lines if re.search(pattern, each)), "")
                if found or over:
                    return Said(found, time.monotonic() - begun)
                time.sleep(0.02)
            return Said("", PATIENCE)
        finally:
            child.send_signal(signal.SIGINT)


def _traces(program: Program) -> tuple[int, int, int]:
    return program.threads(), program.descriptors(), program.mappings()


def _left(program: Program, before: tuple[int, int, int]) -> str:
    """What is in the process that was not there before."""
    found = [
        f"{now - then} {what}"
        for what, now, then in zip(
            ("threads", "descriptors", "mappings"), _traces(program), before, strict=True
        )
        if now > then
    ]
    if attempt.waiting(program.pid) is not None:
        found.append("an attempt")
    if agent_in(program.pid) is not None:
        found.append("an agent")
    if procfs.status(program.pid).get("TracerPid") != "0":
        found.append("a tracer")
    return ", ".join(found) or "nothing"


# -- the cases ---------------------------------------------------------------------------------------


def _pausing(program: Program, _: Path) -> None:
    settled(lambda: kernel_threads.thread(program.pid, program.pid).call, "pause")


def _asked(program: Program, _: Path) -> None:
    with Memory(program.pid) as memory:
        interpreter = Interpreter.of(memory)
        assert interpreter is not None
        settled(lambda: interpreter.gil().asked, True)


def _in_a_circle(program: Program, _: Path) -> None:
    def never_changes() -> bool:
        before = mutexes.awaited(program.pid), procfs.wakes(program.pid)
        time.sleep(0.5)
        return bool(before[0]) and before[0] == mutexes.awaited(program.pid)

    settled(never_changes, True, 60)


def _stop(program: Program, _: Path) -> None:
    os.kill(program.pid, signal.SIGSTOP)
    settled(lambda: procfs.status(program.pid)["State"][0], "T")


def _uninterruptible(program: Program, _: Path) -> None:
    settled(lambda: procfs.status(program.pid)["State"][0], "D")


def _signalled(number: int) -> Callable[[Program, Path], object]:
    return lambda program, folder: os.kill(program.pid, number)


def _write(_: Program, folder: Path) -> None:
    (folder / "pipe").write_bytes(b"x")


CASES = (
    Case(
        "waits in `pause` with the GIL",
        PAUSES,
        r"thread \d+ has held the GIL for .* in `pause`, called from <string>:5 heartbeat; no Python code",
        _pausing,
        _signalled(signal.SIGUSR1),
    ),
    Case(
        "computes in C code with the GIL",
        COMPUTES,
        r"held the GIL for at least .*, busy in C code of `re.fullmatch`, called from <string>:6 heartbeat",
        _asked,
        _signalled(signal.SIGINT),
    ),
    Case(
        "the GIL and a native mutex in a circle",
        CIRCLE,
        r"hangs for good|has held the GIL for .* in `pthread_mutex_lock`",
        _in_a_circle,
    ),
    Case("stopped", "asyncio idle", r"process \d+ is stopped", _stop, _signalled(signal.SIGCONT)),
    Case(
        "uninterruptible, with the GIL",
        SPAWNS,
        r"has held the GIL for .*, called from <string>:5 launch",
        _uninterruptible,
        _write,
    ),
)


def main() -> None:
    """Prints the table."""
    print(f"| the process | {' | '.join(COMMANDS)} | left behind | and once it goes on |")
    print("|---" * (len(COMMANDS) + 3) + "|")
    for case in CASES:
        if sys.argv[1:] and not any(word in case.name for word in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = outcome(case, Path(folder))
        cells = [f"{each.seconds:.1f} s: {each.words}" for each in found.said.values()]
        print(f"| {' | '.join([case.name, *cells, found.left, found.later])} |", flush=True)


if __name__ == "__main__":
    main()
